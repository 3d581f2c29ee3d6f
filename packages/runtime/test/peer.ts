import * as http2 from "node:http2";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as tls from "node:tls";
import { type Credentials, issueCredentials, mutualTls, openAuthority, type SpiffeId } from "@mecha/identity";
import { onTestFinished } from "vitest";

/** Where a runtime is that registered in a data directory. */
export function addressIn(dataDir: string, app: string): { host: string; port: number } {
  const db = new DatabaseSync(join(dataDir, "mecha.db"), { readOnly: true });
  const row = db.prepare("SELECT address FROM discovery_instance WHERE app = ? ORDER BY expire_time DESC").get(app);
  db.close();
  const [host = "", port = ""] = String(row?.address).split(":");
  return { host, port: Number(port) };
}

/** Credentials by the authority of a data directory, of app "shop" if nothing else is said. */
export function issue(dataDir: string, changed: Partial<SpiffeId> = {}, at = Date.now()): Credentials {
  const authority = openAuthority(dataDir, "mecha.internal", Date.now());
  const id = { trustDomain: "mecha.internal", namespace: "default", appId: "shop", ...changed };
  return issueCredentials(authority, id, at);
}

/** A session to the mesh port of "orders", as the runtime of app "shop" would have it, if `options` say nothing else. */
export function openPeer(dataDir: string, options: tls.ConnectionOptions = mutualTls(issue(dataDir))) {
  const { host, port } = addressIn(dataDir, "orders");
  const socket = tls.connect({ host, port, ALPNProtocols: ["h2"], checkServerIdentity: () => undefined, ...options });
  const session = http2.connect("https://orders", { createConnection: () => socket });
  onTestFinished(() => session.destroy());
  return session;
}

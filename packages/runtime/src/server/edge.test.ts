import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:https";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { createManualClock } from "@mecha/component/conformance";
import { issueCredentials, openAuthority } from "@mecha/identity";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../../test/helpers.js";
import { createLog } from "../../test/log.js";
import { listenAtEdge } from "./edge.js";

/** An edge whose certificate is from files, as cert-manager puts them. */
async function startEdge() {
  const clock = createManualClock();
  const log = createLog();
  const folder = temporaryFolder();
  const tls = { certificate: join(folder, "tls.crt"), key: join(folder, "tls.key") };
  const authority = openAuthority(temporaryFolder(), "corp.example", clock.now());
  const id = { trustDomain: "corp.example", namespace: "default", appId: "edge" };
  const issue = () => issueCredentials(authority, id, clock.now()).secrets();
  const put = (path: string, text: string) => {
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  };
  const renew = ({ cert, key }: ReturnType<typeof issue>) => {
    put(tls.certificate, cert);
    put(tls.key, key);
    clock.advance(10_000);
  };
  renew(issue());
  const proxy = { takes: () => false, handle() {}, upgrade() {} };
  const edge = await listenAtEdge({ port: 0, tls }, { proxy, clock, logger: log.logger });
  onTestFinished(() => edge.close({ deadlineMs: 0 }));
  return { edge, issue, renew, log };
}

/** Asks for `/healthz`; which certificate the connection has, and whether it was there already. */
async function ask(endpoint: string, agent: Agent) {
  const request = get(`${endpoint}/healthz`, { agent, rejectUnauthorized: false });
  const [response] = await once(request, "response");
  const socket = response.socket as TLSSocket;
  const found = { text: "", serial: socket.getPeerCertificate().serialNumber, reused: request.reusedSocket };
  for await (const chunk of response) found.text += chunk;
  return found;
}

test("a new certificate is what new connections get, while those that are open go on", async () => {
  const { edge, issue, renew, log } = await startEdge();
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  const before = await ask(edge.endpoint, agent);
  expect(before.text).toBe("alive\n");

  renew(issue());
  expect(log.lines.join()).toContain("read the server's new certificate");
  expect(await ask(edge.endpoint, agent)).toEqual({ ...before, reused: true });
  const after = await ask(edge.endpoint, new Agent());
  expect(after.text).toBe("alive\n");
  expect(after.serial).not.toBe(before.serial);
});

test("a new certificate that is wrong is logged, and the one before stays", async () => {
  const { edge, issue, renew, log } = await startEdge();
  const before = await ask(edge.endpoint, new Agent());
  renew({ ...issue(), key: issue().key });
  expect(log.lines.join()).toContain("is not the private key of the certificate");
  expect((await ask(edge.endpoint, new Agent())).serial).toBe(before.serial);
});

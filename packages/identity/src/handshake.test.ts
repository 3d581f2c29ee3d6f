import { once } from "node:events";
import type { AddressInfo } from "node:net";
import * as tls from "node:tls";
import { createManualClock } from "@mecha/component/conformance";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../test/helpers.js";
import { createLog } from "../test/log.js";
import { type Authority, openAuthority } from "./authority.js";
import type { Credentials } from "./identity.js";
import { createIssuedIdentity, issueCredentials } from "./issued.js";
import type { SpiffeId } from "./spiffe.js";
import { checkServer, mutualTls, verifyPeer } from "./verify.js";

const day = 24 * 60 * 60 * 1000;
const id: SpiffeId = { trustDomain: "mecha.internal", namespace: "default", appId: "shop" };

const createAuthority = (trustDomain = "mecha.internal") => openAuthority(temporaryFolder(), trustDomain, Date.now());
const authority = () => createAuthority();
const issue = (by: Authority, changed: Partial<SpiffeId> = {}, at = Date.now()) =>
  issueCredentials(by, { ...id, trustDomain: by.trustDomain, ...changed }, at);

/** A TLS server as a runtime has it; each connection that it takes is told who it takes it for. OpenSSL does not tell why it refuses a chain. */
async function listen(credentials: Credentials) {
  const refusals: string[] = [];
  const server = tls.createServer(mutualTls(credentials), (socket) => {
    const verdict = verifyPeer(socket.getPeerX509Certificate(), credentials.id);
    if ("refusal" in verdict) {
      refusals.push(verdict.refusal);
      socket.destroy();
    } else socket.end(verdict.id.appId);
  });
  server.on("tlsClientError", (error) => refusals.push(error.message));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, refusals };
}

/** What the server says to a client; rejects if either side refuses the other. */
async function call(port: number, options: tls.ConnectionOptions): Promise<string> {
  const socket = tls.connect({ port, host: "127.0.0.1", ...options });
  let text = "";
  for await (const chunk of socket) text += chunk;
  if (text === "") throw new Error("the server took the connection and closed it");
  return text;
}

const asClient = (credentials: Credentials, expectedApp = "orders") => ({
  ...mutualTls(credentials),
  checkServerIdentity: checkServer(credentials.id, expectedApp),
});

test("runtimes of one authority know each other, by app", async () => {
  const ca = authority();
  const { port } = await listen(issue(ca, { appId: "orders" }));
  expect(await call(port, asClient(issue(ca)))).toBe("shop");
});

test("a caller without a certificate is refused", async () => {
  const ca = authority();
  const { port, refusals } = await listen(issue(ca, { appId: "orders" }));
  const { ca: trusted } = issue(ca).secrets();
  await expect(call(port, { ca: trusted, checkServerIdentity: () => undefined })).rejects.toThrow();
  expect(refusals).toHaveLength(1);
});

test("a caller of another authority is refused, though its certificate names the same trust domain", async () => {
  const ca = authority();
  const { port, refusals } = await listen(issue(ca, { appId: "orders" }));
  const stranger = issue(authority());
  const { ca: trusted } = issue(ca).secrets();
  await expect(call(port, { ...asClient(stranger), ca: trusted })).rejects.toThrow();
  expect(refusals).toHaveLength(1);
  expect(await call(port, asClient(issue(ca)))).toBe("shop");
});

test("a server of another authority is refused before anything is sent to it", async () => {
  const { port } = await listen(issue(authority(), { appId: "orders" }));
  await expect(call(port, asClient(issue(authority())))).rejects.toThrow(
    /self-signed certificate in certificate chain/,
  );
});

test("an expired certificate is refused, on either side", async () => {
  const ca = openAuthority(temporaryFolder(), "mecha.internal", Date.now() - 10 * day);
  const { port, refusals } = await listen(issue(ca, { appId: "orders" }));
  await expect(call(port, asClient(issue(ca, {}, Date.now() - 2 * day)))).rejects.toThrow();
  expect(refusals).toHaveLength(1);
  expect(await call(port, asClient(issue(ca)))).toBe("shop");
  const old = await listen(issue(ca, { appId: "orders" }, Date.now() - 2 * day));
  await expect(call(old.port, asClient(issue(ca)))).rejects.toThrow(/expired/);
});

test("a runtime whose clock is set back by hours, since it and its authority began, is talked to again within a minute", async () => {
  const timers = createManualClock();
  let aheadMs = day / 4;
  const clock = { ...timers, now: () => Date.now() + aheadMs };
  const identity = createIssuedIdentity({ id, dataDir: temporaryFolder(), clock, logger: createLog().logger });
  onTestFinished(identity.close);
  aheadMs = 0;
  timers.advance(60_000);
  const { port } = await listen(identity.current);
  expect(await call(port, asClient(identity.current, "shop"))).toBe("shop");
  const renewed = identity.current;
  timers.advance(60_000);
  expect(identity.current).toBe(renewed);
});

test("another trust domain, another namespace and another app are refused, though the authority is trusted", async () => {
  const ca = authority();
  const { port, refusals } = await listen(issue(ca, { appId: "orders" }));
  await expect(call(port, asClient(issue(ca, { trustDomain: "evil.example" })))).rejects.toThrow(/trust domain/);
  const blind = (credentials: Credentials) => ({ ...mutualTls(credentials), checkServerIdentity: () => undefined });
  await expect(call(port, blind(issue(ca, { trustDomain: "evil.example" })))).rejects.toThrow();
  expect(refusals.pop()).toContain('it is of trust domain "evil.example"');
  await expect(call(port, blind(issue(ca, { namespace: "other" })))).rejects.toThrow();
  expect(refusals.pop()).toContain("/ns/other/app/shop");
  await expect(call(port, asClient(issue(ca), "billing"))).rejects.toThrow(
    "it is spiffe://mecha.internal/ns/default/app/orders, not spiffe://mecha.internal/ns/default/app/billing",
  );
});

test("the certificate of the authority is no runtime's", () => {
  expect(verifyPeer(authority().certificate, id)).toMatchObject({
    refusal: expect.stringContaining("of an authority"),
  });
  expect(verifyPeer(undefined, id)).toMatchObject({ refusal: expect.stringContaining("no certificate") });
});

test("TLS 1.2 is refused", async () => {
  const ca = authority();
  const { port } = await listen(issue(ca, { appId: "orders" }));
  const older = { ...asClient(issue(ca)), minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
  await expect(call(port, older)).rejects.toThrow(/protocol version/);
});

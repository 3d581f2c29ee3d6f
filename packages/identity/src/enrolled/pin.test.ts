import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import type * as net from "node:net";
import * as tls from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { hour, makeAuthority, messageOf, openIdentity, shop, startAuthority, until } from "../../test/authority.js";
import type { Authority } from "../authority.js";
import { listTokens } from "../ca/tokens.js";
import { issueCredentials } from "../issued.js";

/** Somebody in the middle: a TLS server that takes whoever comes, and keeps all that it is sent. */
async function listen(options: { key: string; cert: string }) {
  const server = tls.createServer({ ...options, requestCert: true, rejectUnauthorized: false });
  let received = "";
  let connections = 0;
  let open = 0;
  server.on("connection", (socket: net.Socket) => {
    connections++;
    open++;
    socket.once("close", () => open--);
  });
  server.on("secureConnection", (socket) => {
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.on("error", () => {});
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return {
    endpoint: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    /** All that it was sent, once everybody has gone. */
    async heard() {
      await until(() => open === 0);
      return received;
    },
    connections: () => connections,
  };
}

/** As the authority's own server has it. */
function certifyServer(authority: Authority, at: number) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = authority.issueForItself({ publicKey, notBefore: at, notAfter: at + 24 * hour });
  return { key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), cert: certificate.toString() };
}

test("another authority, of the same trust domain, is not sent the token", async () => {
  const [genuine, other] = [makeAuthority(), await startAuthority()];
  const join = openIdentity({ authority: other.server.endpoint, token: genuine.token(), clock: genuine.clock });
  expect(await messageOf(join)).toMatch(
    /^IdentityError: 127\.0\.0\.1:\d+ is not the authority that the token names, and the token was not sent to it/,
  );
  expect(other.log.lines).toHaveLength(1);
});

test("somebody in the middle who presents the genuine authority's certificate with his own is not sent the token", async () => {
  const [genuine, evil] = [makeAuthority(), makeAuthority()];
  const { key, cert } = certifyServer(evil.load(), evil.clock.now());
  const middle = await listen({ key, cert: `${cert}${genuine.load().certificate}` });
  await expect(
    openIdentity({ authority: middle.endpoint, token: genuine.token(), clock: genuine.clock }),
  ).rejects.toThrow(/is not the authority that the token names|gave no answer/);
  expect(middle.connections()).toBeGreaterThan(0);
  expect(await middle.heard()).toBe("");
});

test("an app in the middle, whose certificate the genuine authority has signed, is not sent the token", async () => {
  const genuine = makeAuthority();
  const authority = genuine.load();
  const { key, cert } = issueCredentials(
    authority,
    { ...shop, appId: "evil", trustDomain: authority.trustDomain },
    genuine.clock.now(),
  ).secrets();
  const middle = await listen({ key, cert: `${cert}${authority.certificate}` });
  const join = openIdentity({ authority: middle.endpoint, token: genuine.token(), clock: genuine.clock });
  expect(await messageOf(join)).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID/);
  // It has got past the fingerprint: what refuses it is that it is an app.
  expect(middle.connections()).toBe(2);
  expect(await middle.heard()).toBe("");
  expect(listTokens(genuine.folder, genuine.clock.now())).toHaveLength(1);
});

test("a renewal goes to the authority that issued, and is sent to nobody who stands in for it", async () => {
  const made = makeAuthority();
  const { server } = await startAuthority(made);
  const { identity, folder } = await openIdentity({
    authority: server.endpoint,
    token: made.token(),
    clock: made.clock,
  });
  identity.close();
  const evil = makeAuthority();
  const middle = await listen(certifyServer(evil.load(), evil.clock.now()));
  made.clock.advance(12 * hour);
  const again = await openIdentity({ authority: middle.endpoint, clock: made.clock, folder });
  await until(() => again.log.lines.some((line) => line.includes("cannot renew")));
  expect(await middle.heard()).toBe("");
  expect(again.identity.current.secrets()).toEqual(identity.current.secrets());
});

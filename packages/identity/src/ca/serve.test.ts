import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import * as net from "node:net";
import * as tls from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@mecha/api/rpc";
import { createManualClock } from "@mecha/component/conformance";
import { expect, onTestFinished, test } from "vitest";
import { callAuthority, createLateClock, hour, makeAuthority, startAuthority, until } from "../../test/authority.js";
import { authorityHostname } from "../authority-id.js";
import { createCertificateRequest } from "../certificate-request.js";
import { issueCredentials } from "../issued.js";
import { type SpiffeId, uriOf } from "../spiffe.js";
import { maxRefusals } from "./refusals.js";

const id: SpiffeId = { trustDomain: "shop.example", namespace: "default", appId: "shop" };
const createKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const shopUri = "spiffe://shop.example/ns/default/app/shop";
const requestFor = (uri: string = shopUri) => createCertificateRequest(createKey(), { commonName: "x", uri });

/** What a call is refused with: "UNAUTHENTICATED · BAD_TOKEN: message". */
async function refusalOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  if (error === undefined) return "it was answered";
  return `${Code[error.code]} · ${error.findDetails(ErrorInfoSchema)[0]?.reason}: ${error.rawMessage}`;
}

test.each(["connect", "grpc", "grpc-web"] as const)("any client of the contract is served: %s", async (protocol) => {
  const { server, token, load, clock } = await startAuthority();
  const ca = load().certificate.toString();
  const key = createKey();
  const certificateRequest = createCertificateRequest(key, { commonName: "shop", uri: shopUri });
  const client = callAuthority(server.endpoint, { ca }, { protocol });
  expect((await client.getAuthorities({})).authorities).toEqual([new Uint8Array(load().certificate.raw)]);
  const first = await client.enroll({ token: token(), certificateRequest });
  const leaf = new X509Certificate(first.certificates[0] ?? new Uint8Array());
  expect(uriOf(leaf)).toBe(shopUri);
  expect(leaf.checkPrivateKey(key)).toBe(true);
  expect(Number(first.expireTime?.seconds) * 1000).toBe(leaf.validToDate.getTime());

  const pem = key.export({ type: "pkcs8", format: "pem" }).toString();
  const itself = callAuthority(server.endpoint, { ca, key: pem, cert: leaf.toString() }, { protocol });
  const { certificates } = await itself.renew({ certificateRequest: requestFor() });
  expect(uriOf(new X509Certificate(certificates[0] ?? new Uint8Array()))).toBe(shopUri);
  expect(clock.pending).toBeGreaterThan(0);
});

test("Renew takes a certificate of an app of this trust domain, of this authority, that is valid; and nobody's word", async () => {
  const made = makeAuthority({ clock: createManualClock(Date.now()) });
  const { server, load, clock } = await startAuthority(made);
  const ca = load().certificate.toString();
  const renew = (secrets: { key?: string; cert?: string }, uri?: string) =>
    refusalOf(callAuthority(server.endpoint, { ...secrets, ca }).renew({ certificateRequest: requestFor(uri) }));
  const by = (authority: ReturnType<typeof load>, changed: Partial<SpiffeId> = {}, at = clock.now()) => {
    const { key, cert } = issueCredentials(authority, { ...id, ...changed }, at).secrets();
    return { key, cert };
  };
  expect(await renew(by(load()))).toBe("it was answered");
  expect(await renew({})).toMatch(/^Unauthenticated · BAD_CERTIFICATE: .*presented none that is valid/);
  expect(await renew(by(load(), { trustDomain: "evil.example" }))).toMatch(
    /^Unauthenticated · BAD_CERTIFICATE: .*another trust domain than "shop\.example"/,
  );
  const stranger = makeAuthority().load();
  expect(await renew(by(stranger))).toMatch(/^Unauthenticated · BAD_CERTIFICATE: .*presented none/);
  expect(await renew(by(load(), {}, clock.now() - 25 * hour))).toMatch(/^Unauthenticated · BAD_CERTIFICATE/);
  // Valid to the machine's clock, on which TLS goes, and not to the authority's.
  expect(await renew(by(load(), {}, clock.now() - 23 * hour))).toBe("it was answered");
  const behind = by(load(), {}, clock.now() - 23 * hour);
  clock.advance(2 * hour);
  expect(await renew(behind)).toMatch(/^Unauthenticated · BAD_CERTIFICATE: .*it expired on/);
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const own = load().issueForItself({
    publicKey,
    notBefore: clock.now() - 2 * hour,
    notAfter: clock.now() + hour,
  });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  expect(await renew({ key: pem, cert: own.toString() })).toMatch(/BAD_CERTIFICATE: .*not the certificate of an app/);
});

test("an app's certificate cannot be renewed as another app's", async () => {
  const { server, load, clock } = await startAuthority();
  const { key, cert, ca } = issueCredentials(load(), id, clock.now()).secrets();
  const client = callAuthority(server.endpoint, { key, cert, ca });
  for (const other of ["ns/default/app/orders", "ns/test/app/shop"]) {
    expect(await refusalOf(client.renew({ certificateRequest: requestFor(`spiffe://shop.example/${other}`) }))).toBe(
      `PermissionDenied · OUT_OF_SCOPE: the caller's certificate is for ${shopUri}, and the request is for spiffe://shop.example/${other}`,
    );
  }
  expect(await refusalOf(client.renew({ certificateRequest: requestFor("https://evil.example/\n") }))).toMatch(
    /OUT_OF_SCOPE: .* for another id$/,
  );
});

test("what cannot be read is a bad request, and uses no token up", async () => {
  const { server, token, load } = await startAuthority();
  const client = callAuthority(server.endpoint, { ca: load().certificate.toString() });
  const given = token();
  for (const certificateRequest of [new Uint8Array(), new Uint8Array(100).fill(48), new Uint8Array(5000)]) {
    expect(await refusalOf(client.enroll({ token: given, certificateRequest }))).toMatch(
      /^InvalidArgument · BAD_REQUEST: .*certificate request/,
    );
  }
  expect(await refusalOf(client.enroll({ token: given, certificateRequest: new Uint8Array(20_000) }))).toMatch(
    /^ResourceExhausted/,
  );
  expect(await refusalOf(client.enroll({ token: given, certificateRequest: requestFor() }))).toBe("it was answered");
});

test("an address that is refused too often is refused unheard for a while", async () => {
  const { server, token, load, clock } = await startAuthority();
  const client = callAuthority(server.endpoint, { ca: load().certificate.toString() });
  const guess = () =>
    client.enroll({
      token: token().replace(/.{44}$/, (fingerprint) => `x${fingerprint.slice(1)}`),
      certificateRequest: requestFor(),
    });
  for (let count = 0; count < maxRefusals; count++) {
    expect(await refusalOf(guess())).toContain("Unauthenticated · BAD_TOKEN: the token is not known to this authority");
  }
  const good = token();
  const refused = await client.enroll({ token: good, certificateRequest: requestFor() }).catch(ConnectError.from);
  expect(refused).toMatchObject({ code: Code.ResourceExhausted });
  const [wait] = (refused as ConnectError).findDetails(RetryInfoSchema);
  expect(Number(wait?.retryDelay?.seconds)).toBeGreaterThan(50);
  clock.advance(60_000);
  expect(await refusalOf(client.enroll({ token: good, certificateRequest: requestFor() }))).toBe("it was answered");
});

test("TLS 1.2 is refused", async () => {
  const { server, load } = await startAuthority();
  const [host, port] = server.endpoint.split(":");
  const socket = tls.connect({
    host,
    port: Number(port),
    servername: authorityHostname,
    ca: load().certificate.toString(),
    maxVersion: "TLSv1.2",
  });
  const [error] = await once(socket, "error");
  expect(String(error)).toMatch(/protocol version/);
});

test("its own certificate is renewed while it listens, for a name that no app can have", async () => {
  const timers = createLateClock();
  let aheadMs = 0;
  const clock = { ...timers, now: () => timers.now() + aheadMs };
  const { server, load } = await startAuthority(makeAuthority({ clock }));
  const [host, port] = server.endpoint.split(":");
  const presented = async () => {
    const ca = load().certificate.toString();
    const socket = tls.connect({ host, port: Number(port), servername: authorityHostname, ca });
    await once(socket, "secureConnect");
    const certificate = socket.getPeerX509Certificate();
    socket.destroy();
    if (certificate === undefined) throw new Error("it presented none");
    return certificate;
  };
  const first = await presented();
  expect(first.subjectAltName).toBe("DNS:authority.mecha.internal, URI:spiffe://shop.example/ca");
  clock.advance(11 * hour);
  expect((await presented()).serialNumber).toBe(first.serialNumber);
  clock.advance(1 * hour);
  const next = await presented();
  expect(next.serialNumber).not.toBe(first.serialNumber);
  expect(next.validToDate.getTime() - clock.now()).toBeGreaterThan(23 * hour);
  // Its clock is set back.
  aheadMs = -3 * hour;
  clock.advance(60_000);
  expect((await presented()).validFromDate.getTime()).toBeLessThan(clock.now());
});

test("who holds a connection and does nothing loses it, and close does not wait for one", async () => {
  const { server, clock } = await startAuthority();
  const [host, port] = server.endpoint.split(":");
  const open = async () => {
    const socket = net.connect({ host, port: Number(port) });
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    return socket.resume();
  };
  const idle = await open();
  await until(
    () => idle.closed,
    () => clock.advance(1_000),
  );
  const closed = once(await open(), "close");
  await server.close();
  await closed;
});

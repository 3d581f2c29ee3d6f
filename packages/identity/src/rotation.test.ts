import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import * as tls from "node:tls";
import { createManualClock } from "@mecha/component/conformance";
import { expect, onTestFinished, test } from "vitest";
import { callAuthority, hour, makeAuthority, openIdentity, startAuthority, until } from "../test/authority.js";
import { type Credentials, parseCertificates } from "./identity.js";
import { issueCredentials } from "./issued.js";
import { checkServer, mutualTls } from "./verify.js";

const shop = { trustDomain: "shop.example", namespace: "default", appId: "shop" };

/** Connects two runtimes; rejects if either refuses the other. */
async function meet(server: Credentials, client: Credentials): Promise<void> {
  const listener = tls.createServer(mutualTls(server), (socket) => socket.end("hello"));
  onTestFinished(() => void listener.close());
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const socket = tls.connect({
    ...mutualTls(client),
    host: "127.0.0.1",
    port: (listener.address() as AddressInfo).port,
    checkServerIdentity: checkServer(client.id, server.id.appId),
  });
  let text = "";
  for await (const chunk of socket) text += chunk;
  if (text !== "hello") throw new Error("refused");
}

const trust = (credentials: Credentials, ...authorities: { toString(): string }[]): Credentials => ({
  ...credentials,
  secrets: () => ({ ...credentials.secrets(), ca: authorities.join("") }),
});

test("certificates of an old and of a new authority both verify, on either side, where both are trusted", async () => {
  const [a, b] = [makeAuthority().load(), makeAuthority().load()];
  const both = [a.certificate, b.certificate];
  const old = trust(issueCredentials(a, shop, Date.now()), ...both);
  const renewed = trust(issueCredentials(b, { ...shop, appId: "orders" }, Date.now()), ...both);
  await meet(old, renewed);
  await meet(renewed, old);
  await meet(renewed, renewed);
  await expect(meet(renewed, trust(old, a.certificate))).rejects.toThrow(/self-signed certificate/);
  await expect(meet(trust(renewed, b.certificate), old)).rejects.toThrow();
});

test("one authority takes the place of another, and runtimes of either can talk at every step", async () => {
  const [old, next] = [makeAuthority(), makeAuthority()];
  const certificateOf = (made: typeof old) => made.load().certificate.toString();
  const first = await startAuthority(old);
  const port = Number(first.server.endpoint.split(":")[1]);
  const clock = createManualClock(old.clock.now());
  const shopRuntime = await openIdentity({ authority: first.server.endpoint, token: old.token(), clock });
  const authorities = () => parseCertificates(shopRuntime.identity.current.secrets().ca).map(String);
  expect(authorities()).toEqual([certificateOf(old)]);

  // The old one hands out the new one too; it reads the file within a minute.
  writeFileSync(join(old.folder, "trusted.crt"), certificateOf(next));
  old.clock.advance(60_000);
  const before = shopRuntime.identity.current;
  clock.advance(12 * hour);
  await until(() => shopRuntime.identity.current !== before);
  expect(authorities()).toEqual([certificateOf(old), certificateOf(next)]);

  // The new one takes its place, and knows those that the old one certified.
  await first.server.close();
  writeFileSync(join(next.folder, "trusted.crt"), certificateOf(old));
  const second = await startAuthority(next, { port });
  next.clock.advance(12 * hour);
  const orders = await openIdentity({
    authority: second.server.endpoint,
    token: next.token({ appId: "orders" }),
    id: { namespace: "default", appId: "orders" },
    clock: next.clock,
  });
  await meet(shopRuntime.identity.current, orders.identity.current);
  await meet(orders.identity.current, shopRuntime.identity.current);

  // Within half a day all have a certificate of the new one.
  const between = shopRuntime.identity.current;
  shopRuntime.identity.close();
  const restarted = await openIdentity({
    authority: second.server.endpoint,
    clock: createManualClock(clock.now() + 60_000),
    folder: shopRuntime.folder,
  });
  await until(() => restarted.identity.current.secrets().cert !== between.secrets().cert);
  const [leaf] = parseCertificates(restarted.identity.current.secrets().cert);
  expect(leaf?.verify(next.load().certificate.publicKey)).toBe(true);
  await meet(restarted.identity.current, orders.identity.current);
});

test("an authority does not start with a trusted.crt that is damaged or of another trust domain, and what changes later to that is not taken", async () => {
  const made = makeAuthority();
  const path = join(made.folder, "trusted.crt");
  const { server, log, clock } = await startAuthority(made);
  const client = callAuthority(server.endpoint, { ca: made.load().certificate.toString() });
  const foreign = makeAuthority({ trustDomain: "corp.example" }).load().certificate.toString();
  for (const [text, why] of [
    [foreign, /trusted\.crt holds a certificate that is of no authority of "shop\.example"/],
    ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", /trusted\.crt cannot be read/],
  ] as const) {
    writeFileSync(path, text);
    expect(() => made.load()).toThrow(why);
    clock.advance(60_000);
    expect(log.lines.at(-1)).toMatch(why);
    expect((await client.getAuthorities({})).authorities).toHaveLength(1);
  }
});

import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import * as tls from "node:tls";
import { createManualClock } from "@mecha/component/conformance";
import { expect, onTestFinished, test } from "vitest";
import {
  createLateClock,
  hour,
  makeAuthority,
  messageOf,
  openIdentity,
  startAuthority,
  until,
} from "../../test/authority.js";
import { temporaryFolder } from "../../test/helpers.js";
import { listTokens } from "../ca/tokens.js";
import type { Credentials } from "../identity.js";
import { formatSpiffeId } from "../spiffe.js";
import { checkServer, mutualTls } from "../verify.js";

test("a runtime enrols with a token, and is then who the token says", async () => {
  const { server, token, clock, folder } = await startAuthority();
  const { identity } = await openIdentity({ authority: server.endpoint, token: `${token()}\n`, clock });
  expect(formatSpiffeId(identity.current.id)).toBe("spiffe://shop.example/ns/default/app/shop");
  expect(identity.current.expireTime - clock.now()).toBeGreaterThan(24 * hour - 1000);
  expect(listTokens(folder, clock.now())).toEqual([]);
});

test("a restart needs no token and no authority; the folder is private, and so is the file", async () => {
  const { server, token, clock } = await startAuthority();
  const { identity, folder } = await openIdentity({ authority: server.endpoint, token: token(), clock });
  identity.close();
  await server.close();
  const again = await openIdentity({ authority: server.endpoint, clock, folder });
  expect(again.identity.current.secrets()).toEqual(identity.current.secrets());
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(readdirSync(folder)).toEqual(["identity.json"]);
  expect(statSync(join(folder, "identity.json")).mode & 0o777).toBe(0o600);
});

test("with a valid certificate a token is neither used up nor looked at", async () => {
  const { server, token, clock, folder: ca } = await startAuthority();
  const used = token();
  const { identity, folder } = await openIdentity({ authority: server.endpoint, token: used, clock });
  // The environment still holds the first one; and somebody sets another.
  for (const given of [used, token(), "", "no token at all"]) {
    const again = await openIdentity({ authority: server.endpoint, token: given, clock, folder });
    expect(again.identity.current.secrets()).toEqual(identity.current.secrets());
  }
  expect(listTokens(ca, clock.now())).toHaveLength(1);
});

/** A server as the mesh port is one, with an identity that may change, and connections to it by another. */
async function serveWith(identity: {
  current: Credentials;
  onChange: (listener: (to: Credentials) => void) => unknown;
}) {
  const server = tls.createServer(mutualTls(identity.current), (socket) => socket.pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  identity.onChange((credentials) => server.setSecureContext(mutualTls(credentials)));
  return async (by: Credentials) => {
    const socket = tls.connect({
      ...mutualTls(by),
      host: "127.0.0.1",
      port: (server.address() as AddressInfo).port,
      checkServerIdentity: checkServer(by.id, identity.current.id.appId),
    });
    onTestFinished(() => void socket.destroy());
    await once(socket, "secureConnect");
    return {
      serial: socket.getPeerX509Certificate()?.serialNumber,
      async echo(text: string) {
        socket.write(text);
        const [chunk] = await once(socket, "data");
        return String(chunk);
      },
    };
  };
}

test("it renews at half of its certificate's life, with a new key, and drops no connection", async () => {
  const { server, token, clock } = await startAuthority();
  const { identity, folder, log } = await openIdentity({ authority: server.endpoint, token: token(), clock });
  const orders = await openIdentity({
    authority: server.endpoint,
    token: token({ appId: "orders" }),
    id: { namespace: "default", appId: "orders" },
    clock,
  });
  const connect = await serveWith(identity);
  const open = await connect(orders.identity.current);
  expect(await open.echo("before")).toBe("before");
  const [first, told] = [identity.current, [] as Credentials[]];
  identity.onChange((credentials) => told.push(credentials));

  clock.advance(11.9 * hour);
  expect(log.lines.join()).not.toContain("renew");
  expect(identity.current).toBe(first);
  clock.advance(0.1 * hour);
  await until(() => identity.current !== first && orders.identity.current.expireTime > first.expireTime);

  expect(told).toEqual([identity.current]);
  expect(identity.current.id).toEqual(first.id);
  expect(identity.current.secrets().key).not.toBe(first.secrets().key);
  expect(identity.current.expireTime - first.expireTime).toBeGreaterThan(11.9 * hour);
  expect(await open.echo("after")).toBe("after");
  const next = await connect(orders.identity.current);
  expect(await next.echo("hello")).toBe("hello");
  expect(next.serial).not.toBe(open.serial);
  expect(readFileSync(join(folder, "identity.json"), "utf8")).toContain(
    JSON.stringify(identity.current.secrets().key).slice(1, -1),
  );
});

test("while the authority is away the certificate stays in use, with one line of log; once it is back it renews", async () => {
  const made = makeAuthority();
  const first = await startAuthority(made);
  const clock = createLateClock();
  const { identity, log } = await openIdentity({ authority: first.server.endpoint, token: made.token(), clock });
  const before = identity.current;
  await first.server.close();
  clock.advance(12 * hour);
  await until(() => log.lines.some((line) => line.includes("cannot renew")));
  // Hours of attempts, each of which fails.
  const end = clock.now() + 6 * hour;
  await until(
    () => clock.now() > end,
    () => clock.advance(2 * 60_000),
  );
  expect(identity.current).toBe(before);
  expect(log.lines.filter((line) => line.includes("cannot renew"))).toHaveLength(1);

  const [, port] = first.server.endpoint.split(":");
  made.clock.advance(12 * hour);
  await startAuthority(made, { port: Number(port) });
  await until(
    () => identity.current !== before,
    () => clock.advance(60_000),
  );
  expect(log.lines.filter((line) => line.includes("renewed this runtime's certificate"))).toHaveLength(1);
});

test("what expires while the authority is away is told once, with what to do; a new token helps, the old one does not", async () => {
  const { server, token, clock } = await startAuthority();
  const old = token();
  const { folder } = await openIdentity({ authority: server.endpoint, token: old, clock });
  const late = createManualClock(clock.now() + 20 * hour);
  const away = await openIdentity({ authority: "127.0.0.1:1", clock: late, folder });
  const { log } = away;
  await until(() => log.lines.some((line) => line.includes("cannot renew")));
  late.advance(4 * hour);
  await until(
    () => log.lines.some((line) => line.includes("is expired")),
    () => late.advance(60_000),
  );
  late.advance(2 * hour);
  expect(log.lines.filter((line) => line.includes("is expired"))).toHaveLength(1);
  expect(log.lines.join()).toContain(
    'get a new token with "mecha ca token --dir ca --app shop --namespace default" where the authority is, and start this runtime with it in MECHA_ENROLL_TOKEN',
  );
  away.identity.close();

  const restart = (given?: string) =>
    openIdentity({
      authority: server.endpoint,
      token: given,
      clock: createManualClock(clock.now() + 26 * hour),
      folder,
    });
  expect(await messageOf(restart())).toMatch(
    /IdentityError: the certificate in .* expired on .*: get a new token with/,
  );
  expect(await messageOf(restart(old))).toMatch(/expired on .*: get a new token with/);
  clock.advance(12 * hour);
  const anew = await openIdentity({
    authority: server.endpoint,
    token: token(),
    clock: createManualClock(Date.now() + 13 * hour),
    folder,
  });
  expect(anew.identity.current.expireTime).toBeGreaterThan(Date.now());
});

test("without a certificate and without a token the error says where to get one", async () => {
  const start = openIdentity({ authority: "127.0.0.1:1", clock: createManualClock() });
  expect(await messageOf(start)).toMatch(
    /this runtime has no certificate yet: get a new token with "mecha ca token --dir ca --app shop/,
  );
});

test("an authority that is not up yet is waited for, and not for ever", async () => {
  const made = makeAuthority();
  const probe = await startAuthority(made);
  const [, port] = probe.server.endpoint.split(":");
  await probe.server.close();
  const clock = createLateClock();
  const token = made.token();
  const turn = () => clock.advance(400);

  const failed = messageOf(openIdentity({ authority: probe.server.endpoint, token, clock }));
  let message = "";
  void failed.then((text) => {
    message = text;
  });
  await until(() => message !== "", turn);
  expect(message).toBe(
    `IdentityError: the authority at ${probe.server.endpoint} cannot be reached: ECONNREFUSED; does "mecha ca serve" run there?`,
  );

  let opened = false;
  const opening = openIdentity({ authority: probe.server.endpoint, token, clock }).then(({ log }) => {
    opened = true;
    expect(log.lines[0]).toContain("will try again");
  });
  await until(() => clock.pending > 0);
  await startAuthority(made, { port: Number(port) });
  await until(() => opened, turn);
  await opening;
});

test("a folder of another app, namespace or trust domain is left alone", async () => {
  const { server, token, clock } = await startAuthority();
  const { folder } = await openIdentity({ authority: server.endpoint, token: token(), clock });
  const start = (id: { namespace: string; appId: string; trustDomain?: string }) =>
    messageOf(openIdentity({ authority: server.endpoint, token: token(id), id, clock, folder }));
  const before = readFileSync(join(folder, "identity.json"), "utf8");
  expect(await start({ namespace: "default", appId: "orders" })).toMatch(
    /holds the certificate of spiffe:\/\/shop\.example\/ns\/default\/app\/shop, and this runtime is spiffe:\/\/shop\.example\/ns\/default\/app\/orders: give it a folder of its own/,
  );
  expect(await start({ namespace: "test", appId: "shop" })).toContain("/ns/test/app/shop");
  expect(await start({ namespace: "default", appId: "shop", trustDomain: "corp.example" })).toContain(
    "spiffe://corp.example",
  );
  expect(readFileSync(join(folder, "identity.json"), "utf8")).toBe(before);
});

test("a token of another authority than the certificate's is an error, and is not sent", async () => {
  const [one, other] = [await startAuthority(), await startAuthority()];
  const { folder } = await openIdentity({ authority: one.server.endpoint, token: one.token(), clock: one.clock });
  const moved = openIdentity({ authority: other.server.endpoint, token: other.token(), clock: one.clock, folder });
  expect(await messageOf(moved)).toMatch(
    /holds a certificate of another authority than the one that the token is of: remove/,
  );
  expect(listTokens(other.folder, other.clock.now())).toHaveLength(1);
});

test("what is stored is refused if it is damaged, or if others may read it", async () => {
  const { server, token, clock } = await startAuthority();
  const { folder } = await openIdentity({ authority: server.endpoint, token: token(), clock });
  const path = join(folder, "identity.json");
  const good = readFileSync(path, "utf8");
  const start = () => messageOf(openIdentity({ authority: server.endpoint, clock, folder }));
  chmodSync(path, 0o640);
  expect(await start()).toMatch(/identity\.json has mode 0640/);
  chmodSync(path, 0o600);
  for (const text of [
    "",
    "{}",
    good.slice(0, -100),
    good.replace(/MIG[^\\]+/, "MIGx"),
    good.replace('"version": 1', '"version": 2'),
  ]) {
    writeFileSync(path, text);
    expect(await start()).toMatch(/identity\.json is damaged: remove it, and start this runtime with a new token/);
  }
  writeFileSync(path, good);
  chmodSync(folder, 0o755);
  expect(await start()).toMatch(/has mode 0755, and is to hold a private key: chmod 700 it/);
});

test("what a crash left of a write is removed, and disturbs nothing", async () => {
  const { server, token, clock } = await startAuthority();
  const { folder } = await openIdentity({ authority: server.endpoint, token: token(), clock });
  const draft = join(folder, "identity.json.0123456789ab.new");
  writeFileSync(draft, "half of a ke");
  utimesSync(draft, 0, 0);
  await openIdentity({ authority: server.endpoint, clock, folder });
  expect(existsSync(draft)).toBe(false);
});

test.each(["", "host:0", "host:99999", "https://host:3602", "host:3602/path", "user@host", "::1", "[::1", "a b"])(
  "%s is no address of an authority",
  async (authority) => {
    const start = openIdentity({ authority, token: "x", clock: createManualClock(), folder: temporaryFolder() });
    expect(await messageOf(start)).toContain("is no address of an authority: write host:port");
  },
);

import { generateKeyPairSync } from "node:crypto";
import { createClient } from "@connectrpc/connect";
import { CertificateAuthorityService } from "@mecha/api/ca";
import { createManualClock } from "@mecha/component/conformance";
import { createInProcessTransport } from "@mecha/rpc";
import { expect, test } from "vitest";
import { hour, makeAuthority, messageOf, openIdentity, shop, startAuthority } from "../../test/authority.js";
import { spawnAuthority } from "../../test/authority-process.js";
import { createLog } from "../../test/log.js";
import { createCertificateRequest } from "../certificate-request.js";
import { createRefusals } from "./refusals.js";
import { createService } from "./service.js";
import { claimToken, createToken, listTokens, revokeToken } from "./tokens.js";

/** An authority whose clock is the machine's: other processes have no other. */
const makeCurrent = () => makeAuthority({ clock: createManualClock(Date.now()) });

test("a token is good for one certificate", async () => {
  const { server, token, clock } = await startAuthority();
  const given = token();
  await openIdentity({ authority: server.endpoint, token: given, clock });
  expect(await messageOf(openIdentity({ authority: server.endpoint, token: given, clock }))).toBe(
    `IdentityError: the authority at ${server.endpoint} refused: the token was used already: get a new one with "mecha ca token"`,
  );
});

test("of ten who race for a token at two servers, in two processes, one wins", async () => {
  const made = makeCurrent();
  const [here, there] = [await startAuthority(made), await spawnAuthority(made.folder)];
  const token = made.token();
  const racers = Array.from({ length: 10 }, (_, index) =>
    openIdentity({
      authority: index % 2 === 0 ? here.server.endpoint : there.endpoint,
      token,
      clock: made.clock,
    }),
  );
  const results = await Promise.allSettled(racers);
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  const refusals = results.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []));
  expect(refusals.filter((text) => text.includes("the token was used already"))).toHaveLength(9);
});

test("a token that another process uses up between the look at it and its use is refused", async () => {
  const { folder, clock, load } = makeAuthority();
  const { token, id } = createToken(folder, { id: shop, now: clock.now() });
  const { enroll } = createService({
    folder,
    // Asked for once the token is found to be good.
    authority() {
      claimToken(folder, id);
      return load();
    },
    refusals: createRefusals(clock),
    clock,
    logger: createLog().logger,
  });
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const uri = "spiffe://shop.example/ns/default/app/shop";
  const certificateRequest = createCertificateRequest(privateKey, { commonName: "shop", uri });
  const transport = createInProcessTransport(({ service }) => service(CertificateAuthorityService, { enroll }));
  await expect(
    createClient(CertificateAuthorityService, transport).enroll({ token, certificateRequest }),
  ).rejects.toThrow("the token was used already");
});

test.each([
  ["the token is on disk as used, and the certificate not made", "a token was used up"],
  ["the certificate is made, and not sent", "enrolled a runtime"],
])("killed when %s: the token is spent, and the error says so", async (_when, dieAt) => {
  const made = makeCurrent();
  const token = made.token();
  const dying = await spawnAuthority(made.folder, dieAt);
  const lost = await messageOf(openIdentity({ authority: dying.endpoint, token, clock: made.clock }));
  expect(await dying.ended).toBe("SIGKILL");
  expect(lost).toMatch(/gave no answer: .*The token may be used up: if it is refused now, get a new one/);
  const { server } = await startAuthority(made);
  const again = await messageOf(openIdentity({ authority: server.endpoint, token, clock: made.clock }));
  expect(again).toContain("the token was used already: get a new one");
  await openIdentity({ authority: server.endpoint, token: made.token(), clock: made.clock });
});

test("a token of another app or namespace is refused, and not used up by that", async () => {
  const { server, token, clock } = await startAuthority();
  const given = token();
  const as = (id: typeof shop) => messageOf(openIdentity({ authority: server.endpoint, token: given, id, clock }));
  expect(await as({ ...shop, appId: "orders" })).toBe(
    `IdentityError: the authority at ${server.endpoint} refused: this token is for spiffe://shop.example/ns/default/app/shop, and the request is for spiffe://shop.example/ns/default/app/orders`,
  );
  expect(await as({ ...shop, namespace: "test" })).toContain(
    "the request is for spiffe://shop.example/ns/test/app/shop",
  );
  await openIdentity({ authority: server.endpoint, token: given, clock });
});

test("a runtime that is told its trust domain joins no other", async () => {
  const { server, token, clock } = await startAuthority();
  const id = { ...shop, trustDomain: "corp.example" };
  expect(await messageOf(openIdentity({ authority: server.endpoint, token: token(), id, clock }))).toContain(
    'is of trust domain "shop.example", and this runtime is told to be of "corp.example"',
  );
});

test("an expired token is refused, even if the clock is set back after that", async () => {
  const { server, folder, clock } = await startAuthority();
  const { token } = createToken(folder, { id: shop, ttlMs: 60_000, now: clock.now() });
  const join = () => messageOf(openIdentity({ authority: server.endpoint, token, clock }));
  clock.advance(60_000);
  expect(await join()).toContain("the token is expired: get a new one");
  // The server sweeps every minute.
  clock.advance(60_000);
  clock.advance(-hour);
  expect(await join()).toContain("the token is expired");
});

test("a revoked token is refused", async () => {
  const { server, folder, clock } = await startAuthority();
  const { token, id } = createToken(folder, { id: shop, now: clock.now() });
  expect(revokeToken(folder, id)).toBe(true);
  expect(listTokens(folder, clock.now())).toEqual([]);
  expect(await messageOf(openIdentity({ authority: server.endpoint, token, clock }))).toContain(
    "the token was revoked",
  );
});

test("what is no token is not sent anywhere", async () => {
  const { server, clock, log } = await startAuthority();
  const join = openIdentity({ authority: server.endpoint, token: "mecha1.something", clock });
  expect(await messageOf(join)).toContain('this is no token: it is one line that begins with "mecha1."');
  expect(log.lines).toHaveLength(1);
});

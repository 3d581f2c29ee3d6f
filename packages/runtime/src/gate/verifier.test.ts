import { createManualClock } from "@mecha/component/conformance";
import { SignJWT, UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { startIssuer } from "../../test/issuer.js";
import { createLog } from "../../test/log.js";
import { jwt } from "../policy/sections/jwt.js";
import { createVerifier } from "./verifier.js";

/** An issuer and a verifier of its tokens, on a clock that stands still. */
async function start(section: Record<string, unknown> = {}) {
  const clock = createManualClock();
  const issuer = await startIssuer(() => clock.now());
  const { lines, logger } = createLog();
  const value = jwt.schema.parse({ issuer: issuer.url, audience: ["shop"], ...section });
  const verifier = createVerifier(value, clock, logger);
  const verify = async (token: string) => verifier.verify(token);
  const seconds = () => Math.floor(clock.now() / 1000);
  return { clock, issuer, verify, verifier, lines, seconds };
}

test("a token of the issuer's, whose keys its configuration names, tells its claims; the next time at once", async () => {
  const { issuer, verify, verifier } = await start();
  const token = await issuer.sign({ sub: "ann", role: "admin" });
  expect(await verify(token)).toMatchObject({ sub: "ann", role: "admin" });
  expect(verifier.verify(token)).toMatchObject({ sub: "ann" });
  expect(issuer.asked).toBe(1);
});

test("what is wrong with a token is told, and nothing of what it says", async () => {
  const { issuer, verify, seconds } = await start();
  const other = await startIssuer();
  const secret = new TextEncoder().encode(JSON.stringify(issuer.publicKeys()));
  const good = { iss: issuer.url, aud: "shop", exp: seconds() + 60 };
  const cases: [token: string, why: string][] = [
    [await issuer.sign({ exp: seconds() - 31 }), "it has expired"],
    [await issuer.sign({ nbf: seconds() + 31 }), "it is not valid yet (nbf)"],
    [await issuer.sign({ iss: "https://elsewhere.example" }), "it is of another issuer"],
    [await issuer.sign({ aud: ["mail", "billing"] }), "it is for somebody else (aud)"],
    [await issuer.sign({ aud: undefined }), "it is for somebody else (aud)"],
    [await issuer.sign({ exp: undefined }), 'its claim "exp" is missing or wrong'],
    [await other.sign({ iss: issuer.url }), "its signature is wrong"],
    [await other.sign({ iss: issuer.url }, { kid: "unknown" }), "its key is none of the issuer's"],
    [new UnsecuredJWT(good).encode(), "it is signed in a way that is not allowed (alg)"],
    // The public key taken for a shared secret.
    [
      await new SignJWT(good).setProtectedHeader({ alg: "HS256", kid: "key-1" }).sign(secret),
      "it is signed in a way that is not allowed (alg)",
    ],
    ["not.a.token", "it is no signed JWT"],
    [`${(await issuer.sign({})).slice(0, -6)}AAAAAA`, "its signature is wrong"],
  ];
  for (const [token, why] of cases) {
    await expect(verify(token), why).rejects.toMatchObject({
      reason: "BAD_TOKEN",
      message: `the call's token is refused: ${why}`,
    });
  }
});

test("clocks may differ a little", async () => {
  const { issuer, verify, seconds } = await start({ clockSkew: "10s" });
  expect(await verify(await issuer.sign({ exp: seconds() - 9, n: 1 }))).toMatchObject({ n: 1 });
  await expect(verify(await issuer.sign({ exp: seconds() - 11 }))).rejects.toMatchObject({ reason: "BAD_TOKEN" });
  expect(await verify(await issuer.sign({ nbf: seconds() + 9, n: 2 }))).toMatchObject({ n: 2 });
});

test("a token that was verified once is refused all the same when it has expired", async () => {
  const { issuer, verify, clock } = await start({ clockSkew: "0s" });
  const token = await issuer.sign({});
  await verify(token);
  clock.advance(59_000);
  await verify(token);
  clock.advance(2_000);
  await expect(verify(token)).rejects.toThrow("it has expired");
});

test("a new key of the issuer's is found when a token bears it; unknown keys do not have it asked more than every 30 s", async () => {
  const { issuer, verify, clock } = await start();
  await verify(await issuer.sign({}));
  await issuer.rotate();
  const token = await issuer.sign({ n: 2 });
  await expect(verify(token)).rejects.toThrow("its key is none of the issuer's");
  clock.advance(30_000);
  expect(await verify(token)).toMatchObject({ n: 2 });
  expect(issuer.asked).toBe(2);
  const unknown = await issuer.sign({}, { kid: "unknown" });
  await Promise.all(Array.from({ length: 50 }, () => verify(unknown).catch(() => {})));
  expect(issuer.asked).toBe(2);
});

test("keys are renewed after 10 minutes; while that fails those before stay in use, for a day", async () => {
  const { issuer, verify, clock, lines } = await start();
  await verify(await issuer.sign({}));
  clock.advance(10 * 60_000);
  await verify(await issuer.sign({}));
  expect(issuer.asked).toBe(2);
  issuer.setAway(true);
  clock.advance(10 * 60_000);
  expect(await verify(await issuer.sign({ n: 1 }))).toMatchObject({ n: 1 });
  expect(lines.join()).toContain("those before stay in use");
  clock.advance(24 * 60 * 60_000);
  await expect(verify(await issuer.sign({}))).rejects.toMatchObject({ reason: "APP_UNAVAILABLE", retryAfterMs: 5_000 });
});

test("an issuer that is away at the start makes nobody wait, and is asked again after 5 s", async () => {
  const { issuer, verify, clock } = await start();
  issuer.setAway(true);
  const token = await issuer.sign({ n: 1 });
  await expect(verify(token)).rejects.toMatchObject({ reason: "APP_UNAVAILABLE" });
  issuer.setAway(false);
  await expect(verify(token)).rejects.toMatchObject({ reason: "APP_UNAVAILABLE" });
  clock.advance(5_000);
  expect(await verify(token)).toMatchObject({ n: 1 });
});

test("keys may stand in the policy, or at a URL of their own", async () => {
  const issuer = await startIssuer();
  const { logger } = createLog();
  const clock = { now: Date.now, after: () => () => {} };
  const base = { issuer: issuer.url, audience: ["shop"] };
  for (const jwks of [issuer.publicKeys(), issuer.jwksUrl]) {
    const verifier = createVerifier(jwt.schema.parse({ ...base, jwks }), clock, logger);
    expect(await verifier.verify(await issuer.sign({ sub: "ann" }))).toMatchObject({ sub: "ann" });
  }
  expect(issuer.asked).toBe(1);
});

test.each([
  ["http://login.example", false],
  ["https://login.example", true],
  ["https://user:word@login.example", false],
  ["http://127.0.0.1:8080/jwks", true],
  ["file:///etc/passwd", false],
])("keys at %s: %s", (jwks, isAllowed) => {
  const { success } = jwt.schema.safeParse({ issuer: "https://a.example", audience: ["shop"], jwks });
  expect(success).toBe(isAllowed);
});

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hour, makeAuthority, shop } from "../../test/authority.js";
import { parseToken } from "./token-text.js";
import { checkToken, claimToken, createToken, listTokens, revokeToken, sweepTokens } from "./tokens.js";

const now = Date.UTC(2026, 0, 1);
const create = (ttlMs?: number) => {
  const { folder } = makeAuthority();
  return { folder, ...createToken(folder, { id: shop, now, ...(ttlMs !== undefined && { ttlMs }) }) };
};
const filesOf = (folder: string) => readdirSync(join(folder, "tokens"));

test("a token is good for 15 minutes unless told otherwise, and its file holds nothing that could be used", () => {
  const { folder, token, id, expireTime } = create();
  expect(expireTime - now).toBe(15 * 60_000);
  expect(checkToken(folder, token, now + 15 * 60_000 - 1).state).toBe("open");
  expect(checkToken(folder, token, now + 15 * 60_000).state).toBe("expired");
  const path = join(folder, "tokens", `${id}.open`);
  const secret = parseToken(token)?.secret ?? "none";
  expect(readFileSync(path, "utf8")).not.toContain(secret);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "tokens")).mode & 0o777).toBe(0o700);
});

test("a token can be used up, or revoked, once", () => {
  const { folder, token, id } = create();
  expect(listTokens(folder, now)).toEqual([
    { id, namespace: "default", appId: "shop", createTime: now, expireTime: now + 15 * 60_000 },
  ]);
  expect(claimToken(folder, id)).toBe(true);
  expect(claimToken(folder, id)).toBe(false);
  expect(revokeToken(folder, id)).toBe(false);
  expect(checkToken(folder, token, now).state).toBe("used");
  expect(listTokens(folder, now)).toEqual([]);
});

test("who does not know the secret learns nothing, whatever became of the token", () => {
  const { folder, token, id } = create();
  const parts = parseToken(token);
  const guess = token.replace(parts?.secret ?? "", "A".repeat(43));
  expect(checkToken(folder, guess, now).state).toBe("unknown");
  claimToken(folder, id);
  expect(checkToken(folder, guess, now).state).toBe("unknown");
  expect(checkToken(folder, "../../ca.key", now).state).toBe("unknown");
  expect(checkToken(folder, token.replace(id, "../../../../ca.k"), now).state).toBe("unknown");
  expect(revokeToken(folder, "../ca")).toBe(false);
});

test("tokens that are expired are retired for good, and forgotten a day later", () => {
  const { folder, token, id } = create(60_000);
  sweepTokens(folder, now + 59_999);
  expect(filesOf(folder)).toEqual([`${id}.open`]);
  sweepTokens(folder, now + 60_000);
  expect(filesOf(folder)).toEqual([`${id}.expired`]);
  expect(checkToken(folder, token, now).state).toBe("expired");
  expect(claimToken(folder, id)).toBe(false);
  sweepTokens(folder, now + 60_000 + 24 * hour);
  expect(filesOf(folder)).toEqual([]);
  expect(checkToken(folder, token, now).state).toBe("unknown");
});

test("what a token cannot be for, or for how long, is an error that says what it can", () => {
  const { folder } = makeAuthority();
  for (const id of [
    { namespace: "default", appId: "Shop" },
    { namespace: "default", appId: "" },
    { namespace: "default", appId: "a/b" },
    { namespace: "-", appId: "shop" },
  ]) {
    expect(() => createToken(folder, { id, now })).toThrow(/is no app: either name is 1 to 63 lower-case letters/);
  }
  for (const ttlMs of [0, 999, 24 * hour + 1, Number.NaN, 1500.5]) {
    expect(() => createToken(folder, { id: shop, now, ttlMs })).toThrow("a token is good for 1 second to 24 hours");
  }
});

test("a damaged token is no token, and is named", () => {
  const { folder, token, id } = create();
  writeFileSync(join(folder, "tokens", `${id}.open`), "{}");
  expect(() => checkToken(folder, token, now)).toThrow(/\.open is damaged: remove it, and make a new token/);
});

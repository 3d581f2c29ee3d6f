import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { loadAuthority } from "../authority.js";
import { fingerprintOf } from "../authority-id.js";
import { IdentityError } from "../identity.js";
import { codeOf, ensurePrivateFolder, removeDrafts, replacePrivately, syncFolder } from "../private-files.js";
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from "../spiffe.js";
import { formatToken, parseToken } from "./token-text.js";

// A token is a file, `tokens/<id>.<state>`, and changes its state by being renamed: of several who try, in whatever processes, one can. Only an
// open token is good, nothing returns to that state, and a file holds a hash, so that who reads it can use no token.
const states = ["open", "used", "revoked", "expired"] as const;
type State = (typeof states)[number];

/** How long a token is good for where nothing else is said, and at most, in ms. */
export const defaultTokenTtlMs = 15 * 60_000;
export const maxTokenTtlMs = 24 * 60 * 60_000;
/** How long after its expiry it is still known what became of a token, in ms: for an error that says so. */
const rememberMs = 24 * 60 * 60_000;

/** Options of {@link createToken}. */
export interface CreateTokenOptions {
  /** The one app that may enrol with it. */
  readonly id: Pick<SpiffeId, "namespace" | "appId">;
  /** How long it is good for, in ms: 1 000 to 86 400 000. Default 900 000 (15 minutes). */
  readonly ttlMs?: number;
  /** Ms since the epoch. Default: now. */
  readonly now?: number;
}

/** What is known of a token; not the token. */
export interface TokenInfo {
  readonly id: string;
  readonly namespace: string;
  readonly appId: string;
  /** Ms since the epoch. */
  readonly createTime: number;
  readonly expireTime: number;
}

interface TokenRecord extends TokenInfo {
  /** The SHA-256 of the secret: 256 random bits need no slower hash. */
  readonly hash: string;
}

const tokensIn = (folder: string) => join(folder, "tokens");
const pathOf = (folder: string, id: string, state: State) => join(tokensIn(folder), `${id}.${state}`);
const hashOf = (secret: string) => createHash("sha256").update(secret).digest();

/**
 * Makes a token with which one runtime of one app may enrol, once. It is in the result and nowhere else. Throws an IdentityError for a name or
 * a time that is out of range.
 */
export function createToken(
  folder: string,
  { id: { namespace, appId }, ttlMs = defaultTokenTtlMs, now = Date.now() }: CreateTokenOptions,
): TokenInfo & { readonly token: string } {
  const authority = loadAuthority(folder, now);
  const { trustDomain } = authority;
  if (parseSpiffeId(formatSpiffeId({ trustDomain, namespace, appId })) === undefined) {
    throw new IdentityError(
      `"${appId}" in namespace "${namespace}" is no app: either name is 1 to 63 lower-case letters, digits and "-", and "-" neither begins nor ends it`,
    );
  }
  if (!(Number.isInteger(ttlMs) && ttlMs >= 1_000 && ttlMs <= maxTokenTtlMs)) {
    throw new IdentityError(`a token is good for 1 second to 24 hours, not for ${ttlMs / 1000} seconds`);
  }
  ensurePrivateFolder(tokensIn(folder));
  sweepTokens(folder, now);
  const tokenId = randomBytes(8).toString("hex");
  const secret = randomBytes(32).toString("base64url");
  const info = { id: tokenId, namespace, appId, createTime: now, expireTime: now + ttlMs };
  const record = { ...info, hash: hashOf(secret).toString("hex") } satisfies TokenRecord;
  replacePrivately(pathOf(folder, tokenId, "open"), `${JSON.stringify(record)}\n`);
  return { ...info, token: formatToken({ id: tokenId, secret, fingerprint: fingerprintOf(authority.certificate) }) };
}

/** The tokens that can be used still, those that expire first first. */
export function listTokens(folder: string, now: number = Date.now()): TokenInfo[] {
  return filesIn(folder)
    .filter(({ state }) => state === "open")
    .flatMap(({ id }) => readRecord(folder, id, "open") ?? [])
    .filter(({ expireTime }) => now < expireTime)
    .map(({ hash: _, ...info }) => info)
    .sort((a, b) => a.expireTime - b.expireTime);
}

/** Makes a token useless, by its id; tells whether it could be used until then. */
export function revokeToken(folder: string, id: string): boolean {
  return /^[0-9a-f]{16}$/.test(id) && move(folder, id, "revoked");
}

/** Uses a token up; tells whether it could be used until then. On disk before it returns: no crash brings the token back. */
export const claimToken = (folder: string, id: string): boolean => move(folder, id, "used");

/** What a token is good for. `unknown` is all that somebody learns who does not know the secret. */
export type TokenVerdict =
  | { readonly state: "open"; readonly info: TokenInfo }
  | { readonly state: "unknown" | Exclude<State, "open"> };

/** Looks a token up. It may be used up the instant after: {@link claimToken} decides. */
export function checkToken(folder: string, text: string, now: number): TokenVerdict {
  const parts = parseToken(text);
  if (parts === undefined) return { state: "unknown" };
  // In this order, which is that of a token's life: one that is moved meanwhile is found.
  for (const state of states) {
    const record = readRecord(folder, parts.id, state);
    if (record === undefined) continue;
    const { hash, ...info } = record;
    if (!timingSafeEqual(hashOf(parts.secret), Buffer.from(hash, "hex"))) return { state: "unknown" };
    if (state !== "open") return { state };
    return now < info.expireTime ? { state, info } : { state: "expired" };
  }
  return { state: "unknown" };
}

/** Retires tokens that are expired, for good even if the clock is set back, and forgets them a day later. */
export function sweepTokens(folder: string, now: number): void {
  for (const { id, state } of filesIn(folder)) {
    const record = readRecord(folder, id, state);
    if (record === undefined || now < record.expireTime) continue;
    if (state === "open") move(folder, id, "expired");
    else if (now >= record.expireTime + rememberMs) rmSync(pathOf(folder, id, state), { force: true });
  }
  if (isThere(folder)) removeDrafts(tokensIn(folder));
}

function move(folder: string, id: string, state: Exclude<State, "open">): boolean {
  try {
    renameSync(pathOf(folder, id, "open"), pathOf(folder, id, state));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
  syncFolder(tokensIn(folder));
  return true;
}

const isThere = (folder: string) => statSync(tokensIn(folder), { throwIfNoEntry: false }) !== undefined;

function filesIn(folder: string): { readonly id: string; readonly state: State }[] {
  if (!isThere(folder)) return [];
  return readdirSync(tokensIn(folder)).flatMap((name) => {
    const [id = "", suffix] = name.split(".");
    const state = states.find((known) => name === `${id}.${known}` && known === suffix);
    return state === undefined || !/^[0-9a-f]{16}$/.test(id) ? [] : [{ id, state }];
  });
}

function readRecord(folder: string, id: string, state: State): TokenRecord | undefined {
  const path = pathOf(folder, id, state);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const record = parseRecord(text);
  if (record?.id !== id) throw new IdentityError(`${path} is damaged: remove it, and make a new token`);
  return record;
}

function parseRecord(text: string): TokenRecord | undefined {
  try {
    const record: unknown = JSON.parse(text);
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is TokenRecord {
  if (typeof value !== "object" || value === null) return false;
  const { id, namespace, appId, createTime, expireTime, hash } = value as Partial<Record<keyof TokenRecord, unknown>>;
  const areTexts = [id, namespace, appId].every((text) => typeof text === "string");
  const areTimes = [createTime, expireTime].every((time) => typeof time === "number");
  return areTexts && areTimes && typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash);
}

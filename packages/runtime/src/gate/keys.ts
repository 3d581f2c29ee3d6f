import { type Clock, ComponentError } from "@mecha/component";
import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import type { SectionValue } from "../policy/sections.js";
import type { RuntimeLogger } from "../telemetry/logger.js";

/** How long keys are kept before they are asked for anew, and how soon that may be for the sake of an unknown key, in ms. */
const freshMs = 10 * 60_000;
const cooldownMs = 30_000;
/** How long keys that cannot be renewed are still used, in ms. */
const staleMs = 24 * 60 * 60_000;
/** How soon after a failure the issuer is asked again, in ms. */
const retryMs = 5_000;
const fetchTimeoutMs = 5_000;
const maxAnswerBytes = 1024 * 1024;

/** An issuer's public keys. */
export interface KeySource {
  /** Those that are known; asked for first where none are. Rejects with APP_UNAVAILABLE if they cannot be had. */
  current(): Promise<JWTVerifyGetKey>;
  /** Newer ones than `known`; undefined if there are none, or it is too soon to ask. */
  renewed(known: JWTVerifyGetKey): Promise<JWTVerifyGetKey | undefined>;
}

export function createKeySource(
  { issuer, jwks }: Pick<SectionValue<"jwt">, "issuer" | "jwks">,
  clock: Clock,
  logger: RuntimeLogger,
): KeySource {
  let keys: JWTVerifyGetKey | undefined;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let triedAt = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | undefined;

  const find = async (): Promise<JSONWebKeySet> => {
    if (typeof jwks === "object") return jwks as JSONWebKeySet;
    return (await fetchJson(jwks ?? (await discover(issuer)))) as JSONWebKeySet;
  };
  const fetchKeys = async () => {
    triedAt = clock.now();
    const { createLocalJWKSet } = await import("jose");
    keys = createLocalJWKSet(await find());
    fetchedAt = clock.now();
  };
  /** One question at a time, whoever asks. */
  const renew = () => {
    fetching ??= fetchKeys().finally(() => {
      fetching = undefined;
    });
    return fetching;
  };
  const unavailable = (err: unknown) => {
    logger.warn(
      { err, issuer },
      "cannot get the keys of a token's issuer; calls with tokens of it are refused meanwhile",
    );
    const message = "the keys of the token's issuer cannot be had now, so no token of it can be verified";
    return new ComponentError("APP_UNAVAILABLE", message, { retryAfterMs: retryMs });
  };

  return {
    async current() {
      const now = clock.now();
      const age = now - fetchedAt;
      if (keys !== undefined && (age < freshMs || typeof jwks === "object")) return keys;
      if (now - triedAt < retryMs && fetching === undefined) {
        if (keys !== undefined && age < staleMs) return keys;
        throw unavailable(new Error("it was asked a moment ago"));
      }
      try {
        await renew();
      } catch (error) {
        if (keys === undefined || age >= staleMs) throw unavailable(error);
        logger.warn({ err: error, issuer }, "cannot renew the keys of a token's issuer; those before stay in use");
      }
      if (keys === undefined) throw unavailable(new Error("there are none"));
      return keys;
    },
    async renewed(known) {
      if (keys !== known) return keys;
      if (typeof jwks === "object" || clock.now() - triedAt < cooldownMs) return undefined;
      await renew().catch((err: unknown) => logger.warn({ err, issuer }, "cannot renew the keys of a token's issuer"));
      return keys === known ? undefined : keys;
    },
  };
}

/** OpenID Connect Discovery 1.0, section 4: where an issuer's keys are. */
async function discover(issuer: string): Promise<string> {
  const found = await fetchJson(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
  const { issuer: said, jwks_uri: url } = found as { issuer?: unknown; jwks_uri?: unknown };
  if (said !== issuer) throw new Error(`the configuration is of issuer ${JSON.stringify(said)}`);
  if (typeof url !== "string") throw new Error("the configuration names no jwks_uri");
  return url;
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(fetchTimeoutMs), redirect: "error" });
  if (!response.ok || response.body === null) throw new Error(`${url} answers ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > maxAnswerBytes) throw new Error(`${url} answers more than ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

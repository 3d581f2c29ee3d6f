import type { Clock } from "@mecha/component";
import { ComponentError } from "@mecha/component";
import type { JWTVerifyGetKey } from "jose";
import type { SectionValue } from "../policy/sections.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { createKeySource, type KeySource } from "./keys.js";

/** What a verified token says. */
export type Claims = Readonly<Record<string, unknown>>;

/** How many verified tokens are remembered, and for how long at the most, in ms: a caller sends the same one with every call. */
const maxRemembered = 1_000;
const rememberMs = 5 * 60_000;

/** Verifies the tokens of one `jwt` section. */
export interface Verifier {
  /** What a token says, at once if it was seen before. Throws or rejects with BAD_TOKEN, or APP_UNAVAILABLE while the issuer's keys cannot be had. */
  verify(token: string): Claims | Promise<Claims>;
}

export function createVerifier(section: SectionValue<"jwt">, clock: Clock, logger: RuntimeLogger): Verifier {
  const { issuer, audience, algorithms, clockSkew } = section;
  const remembered = new Map<string, { readonly claims: Claims; readonly until: number }>();
  const keys: KeySource = createKeySource(section, clock, logger);

  const check = async (token: string): Promise<Claims> => {
    const { errors, jwtVerify } = await import("jose");
    const now = clock.now();
    const verify = async (set: JWTVerifyGetKey) => {
      const { payload } = await jwtVerify(token, set, {
        issuer,
        audience,
        algorithms,
        clockTolerance: clockSkew / 1000,
        currentDate: new Date(now),
        // One without an end would be good for ever.
        requiredClaims: ["exp"],
      });
      return payload;
    };
    let claims: Claims & { readonly exp?: number };
    try {
      const set = await keys.current();
      try {
        claims = await verify(set);
      } catch (error) {
        // The issuer may have a new key.
        const renewed = error instanceof errors.JWKSNoMatchingKey ? await keys.renewed(set) : undefined;
        if (renewed === undefined) throw error;
        claims = await verify(renewed);
      }
    } catch (error) {
      if (error instanceof ComponentError) throw error;
      if (error instanceof errors.JOSEError) throw badToken(explain(error));
      throw error;
    }
    const until = Math.min(now + rememberMs, (claims.exp ?? 0) * 1000 + clockSkew);
    if (remembered.size >= maxRemembered) remembered.delete(remembered.keys().next().value ?? "");
    remembered.set(token, { claims, until });
    return claims;
  };

  /** What jose says, in words for whoever sent the token; nothing of its content. */
  const explain = (error: Error & { code?: string; claim?: string }): string => {
    if (error.code === "ERR_JWT_EXPIRED") return "it has expired";
    if (error.code === "ERR_JWT_CLAIM_VALIDATION_FAILED") {
      if (error.claim === "iss") return "it is of another issuer";
      if (error.claim === "aud") return "it is for somebody else (aud)";
      if (error.claim === "nbf") return "it is not valid yet (nbf)";
      return `its claim "${error.claim}" is missing or wrong`;
    }
    if (error.code === "ERR_JWKS_NO_MATCHING_KEY") return "its key is none of the issuer's";
    if (error.code === "ERR_JWS_SIGNATURE_VERIFICATION_FAILED") return "its signature is wrong";
    if (error.code === "ERR_JOSE_ALG_NOT_ALLOWED") return "it is signed in a way that is not allowed (alg)";
    return "it is no signed JWT";
  };

  return {
    verify(token) {
      const known = remembered.get(token);
      if (known !== undefined && known.until > clock.now()) return known.claims;
      if (known !== undefined) remembered.delete(token);
      return check(token);
    },
  };
}

export function badToken(why: string): ComponentError {
  return new ComponentError("BAD_TOKEN", `the call's token is refused: ${why}`);
}

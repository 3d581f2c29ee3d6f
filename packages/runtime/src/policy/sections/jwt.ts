import { z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { defineSection } from "../section.js";

/** Asymmetric ones: a secret that verifies could also sign. */
const algorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;

const url = (what: string) =>
  z
    .string()
    .refine((text) => {
      const parsed = URL.parse(text);
      if (parsed === null || parsed.username !== "" || parsed.password !== "") return false;
      return (
        parsed.protocol === "https:" ||
        (parsed.protocol === "http:" && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(parsed.hostname))
      );
    }, "must be an https URL without a user (http is for this machine only)")
    .describe(what);

/** Which token a caller must show. */
export const jwt = defineSection({
  schema: z
    .strictObject({
      issuer: z.string().min(1).max(1_024).describe("Who issued the token: `iss` must be just that."),
      audience: z.array(z.string().min(1)).min(1).describe("Whom it was issued for: `aud` must have one of these."),
      jwks: z
        .union([
          url("Where the issuer's keys are."),
          z
            .strictObject({ keys: z.array(z.record(z.string(), z.unknown())).min(1) })
            .describe("The keys themselves, a JWK Set."),
        ])
        .optional()
        .describe(
          "The issuer's public keys: a URL, or a JWK Set (RFC 7517). Kept for 10 minutes, and asked for anew when a token bears an unknown key, every 30 s at the most. Default: what the issuer says at /.well-known/openid-configuration.",
        ),
      algorithms: z
        .array(z.enum(algorithms))
        .min(1)
        .default(["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
        .describe("How it may be signed. Default: RS256, PS256, ES256, EdDSA, Ed25519."),
      clockSkew: duration("How much clocks may differ, for `exp` and `nbf`. Default: 30s.", [0, 600_000]).default(
        30_000,
      ),
      from: z
        .union([
          z.strictObject({
            header: z.string().regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, "must be the name of a header, in lower case"),
          }),
          z.strictObject({ cookie: z.string().min(1).max(256) }),
        ])
        .default({ header: "authorization" })
        .describe('Where the token is; in `authorization` after "Bearer ". Default: authorization.'),
      required: z
        .boolean()
        .default(true)
        .describe("Whether a call without a token is refused; one with a wrong token always is. Default: true."),
      forward: z.boolean().default(true).describe("Whether the app gets the token, too. Default: true."),
    })
    .describe(
      "A token of OpenID Connect, or any other signed JWT (RFC 7519), that calls must bear. What it says is there for the `claims` of AccessPolicies, and for the app in `mecha-claims` (JSON, base64url). Default: none is looked at.",
    ),
  targets: ["app"],
  by: "callee",
  check({ issuer, jwks }, { add }) {
    if (jwks === undefined && !url("").safeParse(issuer).success) {
      add('"jwks" is missing: "issuer" is no https URL whose configuration could name the keys', "issuer");
    }
  },
});

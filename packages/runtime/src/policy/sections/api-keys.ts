import { z } from "@mecha/component";
import { defineSection } from "../section.js";

/** Which key a caller must show. */
export const apiKeys = defineSection({
  schema: z
    .strictObject({
      header: z
        .string()
        .regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, "must be the name of a header, in lower case")
        .default("x-api-key")
        .describe("The header with the key. Default: x-api-key. The app does not get it."),
      keys: z
        .record(
          z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -"),
          z
            .string()
            .regex(
              /^sha256:[0-9a-f]{64}$/,
              'must be "sha256:" and the SHA-256 of the key, 64 hexadecimal digits: printf %s "$KEY" | sha256sum',
            ),
        )
        .refine((keys) => Object.keys(keys).length > 0 && Object.keys(keys).length <= 1_000, "must be 1 to 1000 keys")
        .describe(
          "Each holder's key, as its SHA-256: the file gives none away. Make keys of 32 random bytes: openssl rand -hex 32.",
        ),
      required: z
        .boolean()
        .default(true)
        .describe("Whether a call without a key is refused; one with an unknown key always is. Default: true."),
    })
    .describe(
      "A key that calls must bear. Its holder is there for AccessPolicies as the claim `mecha/api-key`, and for the app in `mecha-api-key`. Default: none is looked at.",
    ),
  targets: ["app"],
  by: "callee",
});

import { z } from "@mecha/component";
import { defineSection } from "../section.js";

/** What a request may be. */
export const request = defineSection({
  schema: z
    .strictObject({
      maxBytes: z
        .int()
        .min(0)
        .max(2 ** 40)
        .optional()
        .describe(
          "How large the body may be, in bytes; a larger one is refused with 413, also in its midst. Default: any size.",
        ),
      allowHeaders: z
        .array(z.string().regex(/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/, "must be the name of a header, in lower case"))
        .optional()
        .describe(
          "The headers that reach the app, beside those that frame the body, negotiate, trace, or belong to Connect and gRPC; others are left out. Default: all.",
        ),
    })
    .describe("What a request may be. Default: anything."),
  targets: ["app"],
  by: "callee",
  check({ maxBytes, allowHeaders }, { add }) {
    if (maxBytes === undefined && allowHeaders === undefined)
      add('it says nothing: write "maxBytes" or "allowHeaders"');
  },
});

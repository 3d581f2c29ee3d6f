import { z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import { methodName } from "../../routes/method-name.js";
import { defineSection } from "../section.js";

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/, "must be the name of a header");

/** Which web pages may call. */
export const cors = defineSection({
  schema: z
    .strictObject({
      origins: z
        .array(
          z
            .string()
            .refine(
              (text) => text === "*" || URL.parse(text)?.origin === text,
              'must be an origin as a browser sends it, "https://shop.example", or "*"',
            ),
        )
        .min(1)
        .describe('The origins whose pages may call; "*" is all of them. Pages of others are refused.'),
      methods: z
        .array(methodName)
        .min(1)
        .default(["GET", "HEAD", "POST"])
        .describe("The methods they may use. Default: GET, HEAD, POST."),
      headers: z.array(headerName).optional().describe("The headers they may send. Default: those that they ask for."),
      exposeHeaders: z
        .array(headerName)
        .default([])
        .describe("The headers of an answer that they may read, beside the plain ones. Default: none."),
      credentials: z.boolean().default(false).describe("Whether they may send cookies. Default: false."),
      maxAge: duration(
        "How long a browser may remember the answer to a preflight. Default: 10m.",
        [0, 86_400_000],
      ).default(600_000),
    })
    .describe(
      "Which web pages may call (https://fetch.spec.whatwg.org/#http-cors-protocol). Preflights are answered for the app. Default: what the app itself says of it.",
    ),
  targets: ["app"],
  by: "callee",
  check({ origins, credentials }, { add }) {
    if (credentials && origins.includes("*")) {
      add('"credentials" needs "origins" by name: "*" would let every page act as its visitor', "credentials");
    }
  },
});

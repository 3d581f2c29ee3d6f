import { z } from "@mecha/component";
import { dnsLabel, resourceSchema } from "../config/resource.js";
import { methods, paths } from "../routes/fields.js";

const claim = z
  .union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number(), z.boolean()])).min(1)])
  .describe("A value, or several of which one must be there.");

const rule = z.strictObject({
  action: z.enum(["allow", "deny"]).default("allow").describe("What becomes of calls that it matches. Default: allow."),
  from: z
    .array(dnsLabel("An app id."))
    .min(1)
    .optional()
    .describe("The apps that call, as their certificates say. Default: any."),
  methods: methods("The HTTP methods; GET is also HEAD. Default: any.").optional(),
  paths: paths(
    "The paths. To allow, a path must be one to the letter; to deny, letter case, matrix parameters and a slash at the end make no difference. Default: any.",
  ).optional(),
  claims: z
    .record(z.string().min(1), claim)
    .optional()
    .describe(
      "What the caller's verified token must say, each claim by its name (`a.b` is b in a): a list, or text with blanks as in `scope`, must have the value. Needs a Policy with `jwt` for the app. Default: nothing is asked.",
    ),
});

const spec = z.strictObject({
  app: dnsLabel("The app that is called. Default: every app.").optional(),
  default: z
    .enum(["deny", "allow"])
    .default("deny")
    .describe("What becomes of a call that no rule matches. Default: deny."),
  dryRun: z.boolean().default(false).describe("Refuses nothing, and logs what it would refuse. Default: false."),
  rules: z
    .array(rule)
    .default([])
    .describe("A call that a deny rule matches is refused, whatever else matches it. Default: none."),
});

/** `kind: AccessPolicy`: who may call an app, and how. */
export const accessPolicyResource = resourceSchema("AccessPolicy", {
  name: "What logs call it: a DNS label, unique among the access policies.",
  description:
    "Who may call an app: judged by the called app's runtime, by what the caller's certificate and token prove.",
  spec,
});

/** What a `kind: AccessPolicy` document says. */
export type AccessPolicyResource = z.output<typeof accessPolicyResource>;
export type AccessRuleSpec = AccessPolicyResource["spec"]["rules"][number];

import { z } from "@mecha/component";
import type { ZodOptional } from "zod";
import { dnsLabel, resourceSchema } from "../config/resource.js";
import { methodName } from "../routes/method-name.js";
import { parsePathTemplate } from "../routes/path-template.js";
import { headerConditions } from "./header-match.js";
import { type SectionName, sectionNames, sections } from "./sections.js";

const pathTemplate = z
  .string()
  .superRefine((text, context) => {
    try {
      parsePathTemplate(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
    }
  })
  .describe("A path of the app: /orders, /orders/{id} (any one segment) or /admin/** (it and all below it).");

const target = z
  .strictObject({
    app: z
      .union([z.literal("*"), dnsLabel("An app id.")])
      .optional()
      .describe('The app that is called: its app id, or "*" for every app. Either this or `component`.'),
    component: z
      .string()
      .min(1)
      .optional()
      .describe('The component whose calls it is for: its name, or "*" for every component. Either this or `app`.'),
  })
  .describe("What it is for.");

const match = z
  .strictObject({
    from: z.array(dnsLabel("An app id.")).min(1).optional().describe("Calls of these apps. Default: of all."),
    methods: z.array(methodName).min(1).optional().describe("Calls with these HTTP methods. Default: with any."),
    paths: z.array(pathTemplate).min(1).optional().describe("Calls of these paths. Default: of any."),
    headers: headerConditions("Calls with all of these headers. Default: with any.").optional(),
  })
  .describe("Which calls it is for; all that is given must hold. For apps only. Default: all calls of the target.");

const sectionShapes = Object.fromEntries(
  sectionNames.map((name) => [name, sections[name].schema.optional()]),
) as unknown as { [Name in SectionName]: ZodOptional<(typeof sections)[Name]["schema"]> };

const spec = z.strictObject({ target, match: match.optional(), ...sectionShapes });

/** `kind: Policy`: how calls to an app or a component are made. */
export const policyResource = resourceSchema("Policy", {
  name: "What logs, metrics and `mecha policy explain` call it: a DNS label, unique among the policies.",
  description:
    "A policy: how calls to an app or a component are made. For each section by itself the most specific policy that has it and fits the call holds: one that names its target before one for *, then the one with the more specific path, more headers, methods, callers. Two that are equally specific and can fit the same call must not have the same section.",
  spec,
});

/** What a `kind: Policy` document says. */
export type PolicyResource = z.output<typeof policyResource>;
export type PolicyMatch = z.output<typeof match>;

import { z } from "@mecha/component";
import { type BlockName, blockNames } from "../blocks/registry.js";
import { dnsLabel, resourceSchema } from "./resource.js";

const block = z.enum(blockNames as [BlockName, ...BlockName[]]);

const spec = z.strictObject({
  type: z.string().min(1).describe('The type of component: "postgres", or the package name of a third party\'s.'),
  config: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("What the type needs to know. `{ $env: NAME }` and `{ $secret: store/key }` may stand for any value."),
  blocks: z
    .array(block)
    .min(1)
    .optional()
    .describe("Which blocks it serves. Default: every block that its type can serve."),
  default: z
    .union([z.boolean(), z.array(block)])
    .optional()
    .describe(
      "Whether calls that name no component get this one: for all its blocks, or for those listed. A block's only component is its default anyway.",
    ),
  requires: z
    .array(z.string())
    .optional()
    .describe("Features that it must have, checked at start: [TRANSACT]. Default: none."),
  scopes: z.array(dnsLabel("An app id.")).optional().describe("The app ids that may use it. Default: every app."),
  keyspace: z
    .enum(["app", "shared"])
    .optional()
    .describe(
      "Whether each app sees keys of its own (app, the default) or all apps of the namespace see the same (shared).",
    ),
  assist: z
    .strictObject({ store: dnsLabel("A component that serves state.") })
    .optional()
    .describe(
      "The store for what the component cannot keep itself, such as which firings of a cron were done. Default: the default state store.",
    ),
  acceptDurability: z
    .enum(["PROCESS", "HOST", "REPLICATED"])
    .optional()
    .describe(
      "The least durability that is fine here. Default HOST: less is warned about, at start and after a change.",
    ),
});

/** `kind: Component`: one piece of infrastructure, configured once. `spec.config` is its type's own and checked by that. */
export const componentResource = resourceSchema("Component", {
  name: "What calls name the component by: a DNS label, unique among the components.",
  description: "A component: one piece of infrastructure, configured once, serving one block or several.",
  spec,
});

/** What a `kind: Component` document says. */
export type ComponentResource = z.infer<typeof componentResource>;

import { z } from "@mecha/component";
import { type BlockName, blockNames } from "../blocks/registry.js";

/** The API version of every resource. */
export const apiVersion = "mecha.dev/v1";

const dnsLabel = (what: string) =>
  z
    .string()
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      'must be 1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit',
    )
    .describe(what);

const block = z.enum(blockNames as [BlockName, ...BlockName[]]);

/** `kind: Component`: one piece of infrastructure, configured once. `spec.config` is its type's own and checked by that. */
export const componentResource = z
  .strictObject({
    apiVersion: z.literal(apiVersion).describe(`The version of this format: "${apiVersion}".`),
    kind: z.literal("Component").describe("What this document configures."),
    metadata: z
      .strictObject({
        name: dnsLabel("What calls name the component by: a DNS label, unique among the components."),
        labels: z.record(z.string(), z.string()).optional().describe("For people and tools; the runtime ignores them."),
        annotations: z
          .record(z.string(), z.string())
          .optional()
          .describe("For people and tools; the runtime ignores them."),
      })
      .describe("Who it is."),
    spec: z
      .strictObject({
        type: z.string().min(1).describe('The type of component: "postgres", or the package name of a third party\'s.'),
        config: z
          .record(z.string(), z.unknown())
          .optional()
          .describe(
            "What the type needs to know. `{ $env: NAME }` and `{ $secret: store/key }` may stand for any value.",
          ),
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
      })
      .describe("What it is."),
  })
  .describe("A component: one piece of infrastructure, configured once, serving one block or several.");

/** What a `kind: Component` document says. */
export type ComponentResource = z.infer<typeof componentResource>;

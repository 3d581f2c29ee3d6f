import { dnsLabelInWords, dnsLabelPattern, z } from "@mecha/component";
import type { ZodType } from "zod";
import type { ResourceDocument } from "./documents.js";
import type { Problem } from "./problem.js";

/** The API version of every resource. */
export const apiVersion = "mecha.dev/v1";

/** What every planned resource has. */
export interface ResourcePlan {
  readonly kind: string;
  readonly name: string;
  readonly document: ResourceDocument;
}

/** `Component/orders-db` */
export function resourceId({ kind, name }: Pick<ResourcePlan, "kind" | "name">): string {
  return `${kind}/${name}`;
}

/** A problem with a resource, at a path of its document. */
export function problemOf(plan: ResourcePlan, message: string, path: readonly PropertyKey[] = []): Problem {
  return { source: plan.document.sourceOf(path), resource: resourceId(plan), message };
}

/** A DNS label, for what it describes. */
export const dnsLabel = (what: string) =>
  z.string().regex(dnsLabelPattern, `must be ${dnsLabelInWords}`).describe(what);

/** A document of a kind: the same envelope for all, around its `spec`. */
export function resourceSchema<Kind extends string, Spec extends ZodType>(
  kind: Kind,
  { name, description, spec }: { readonly name: string; readonly description: string; readonly spec: Spec },
) {
  return z
    .strictObject({
      apiVersion: z.literal(apiVersion).describe(`The version of this format: "${apiVersion}".`),
      kind: z.literal(kind).describe("What this document configures."),
      metadata: z
        .strictObject({
          name: dnsLabel(name),
          labels: z
            .record(z.string(), z.string())
            .optional()
            .describe("For people and tools; the runtime ignores them."),
          annotations: z
            .record(z.string(), z.string())
            .optional()
            .describe("For people and tools; the runtime ignores them."),
        })
        .describe("Who it is."),
      spec: spec.describe("What it is."),
    })
    .describe(description);
}

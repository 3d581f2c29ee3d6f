import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ComponentError, defineComponent, z } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { checkResources } from "../src/config/check.js";
import type { ResourceObject } from "../src/config/documents.js";
import { temporaryFolder } from "./helpers.js";

/** A type with every kind of option, that never runs. */
export const picky = defineComponent({
  type: "picky",
  description: "For tests.",
  serves: { state: { features: ["TTL"], durability: { HOST: "always" } } },
  // Not strict on purpose: the runtime refuses unknown fields all the same.
  config: z.object({
    url: z.string().describe("Where it is."),
    poolSize: z.number().int().min(1).max(100).default(10).describe("Connections."),
    tls: z.boolean().default(false).describe("Whether to encrypt."),
    mode: z.enum(["fast", "safe"]).default("safe").describe("How."),
    hosts: z
      .array(z.object({ name: z.string(), port: z.number().optional() }))
      .default([])
      .describe("More of them."),
    labels: z.record(z.string(), z.string()).optional().describe("Anything."),
    password: z
      .union([z.string(), z.object({ file: z.string() })])
      .optional()
      .describe("The password."),
  }),
  create: () => Promise.reject(new ComponentError("COMPONENT_UNAVAILABLE", "it never runs")),
});

/** The problems of one YAML file, as `mecha check` prints them, with the file's folder left out. */
export async function check(yaml: string, environment: Record<string, string> = {}): Promise<string[]> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "mecha.yaml"), yaml);
  return checkPaths([join(folder, "mecha.yaml")], environment, folder);
}

/** The same of resources and files as they are given. */
export async function checkPaths(
  resources: (string | ResourceObject)[],
  environment: Record<string, string> = {},
  folder = "",
): Promise<string[]> {
  const { problems } = await checkResources({ resources, components: [memory, picky], environment });
  return problems.map(({ source, message }) => `${source.replace(`${folder}/`, "")}: ${message}`);
}

/** A resource that has no problems. */
export const valid = `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: store }
spec:
  type: picky
  config:
    url: here
`;

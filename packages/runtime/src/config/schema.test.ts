import { defineComponent, z } from "@mecha/component";
import { expect, it } from "vitest";
import { resourceJsonSchema } from "./schema.js";

const definition = defineComponent({
  type: "picky",
  description: "For tests.",
  serves: { state: { features: [], durability: {} } },
  config: z.object({
    url: z.string().describe("Where it is."),
    poolSize: z.number().default(10).describe("Connections."),
    hosts: z
      .array(z.object({ port: z.number() }))
      .optional()
      .describe("More."),
  }),
  create: () => Promise.reject(new Error("it never runs")),
});

it("the JSON Schema has the configuration of each type, with a reference allowed at every leaf and no unknown field", () => {
  const schema = resourceJsonSchema([definition]) as {
    properties: Record<string, unknown>;
    allOf: { if: unknown; then: { properties: { spec: { properties: { config: JsonSchema } } } } }[];
  };
  interface JsonSchema {
    required?: string[];
    additionalProperties?: unknown;
    properties?: Record<string, JsonSchema>;
    items?: JsonSchema;
    anyOf?: JsonSchema[];
    description?: string;
  }
  expect(Object.keys(schema.properties)).toEqual(["apiVersion", "kind", "metadata", "spec"]);
  const config = schema.allOf[0]?.then.properties.spec.properties.config;
  expect(config?.required).toEqual(["url"]);
  expect(config?.additionalProperties).toBe(false);
  const leaf = (type: string) => ({
    anyOf: [expect.objectContaining({ type }), expect.objectContaining({ oneOf: expect.any(Array) })],
  });
  expect(config?.properties?.url).toMatchObject({ description: "Where it is.", ...leaf("string") });
  expect(config?.properties?.poolSize).toMatchObject(leaf("number"));
  expect(config?.properties?.hosts?.items?.properties?.port).toMatchObject(leaf("number"));
});

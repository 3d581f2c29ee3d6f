import { defineComponent, z } from "@mecha/component";
import { Ajv2020 } from "ajv/dist/2020.js";
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

interface JsonSchema {
  const?: unknown;
  required?: string[];
  additionalProperties?: unknown;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  allOf?: { if: JsonSchema; then: JsonSchema }[];
  description?: string;
}

/** What a document of a kind is judged by. */
function schemaOf(kind: string): JsonSchema | undefined {
  const { allOf } = resourceJsonSchema([definition]) as JsonSchema;
  return allOf?.find((each) => each.if.properties?.kind?.const === kind)?.then;
}

it("the JSON Schema has the configuration of each type, with a reference allowed at every leaf and no unknown field", () => {
  const component = schemaOf("Component");
  expect(Object.keys(component?.properties ?? {})).toEqual(["apiVersion", "kind", "metadata", "spec"]);
  const config = component?.allOf?.[0]?.then.properties?.spec?.properties?.config;
  expect(config?.required).toEqual(["url"]);
  expect(config?.additionalProperties).toBe(false);
  const leaf = (type: string) => ({
    anyOf: [expect.objectContaining({ type }), expect.objectContaining({ oneOf: expect.any(Array) })],
  });
  expect(config?.properties?.url).toMatchObject({ description: "Where it is.", ...leaf("string") });
  expect(config?.properties?.poolSize).toMatchObject(leaf("number"));
  expect(config?.properties?.hosts?.items?.properties?.port).toMatchObject(leaf("number"));
});

it("the JSON Schema judges each document by its kind", () => {
  const subscription = schemaOf("Subscription");
  expect(Object.keys(subscription?.properties?.spec?.properties ?? {})).toEqual(
    expect.arrayContaining(["topic", "binding", "path"]),
  );
  expect(subscription?.properties?.spec?.properties?.ackTimeout).toMatchObject({ type: "string" });
  const schema = new Ajv2020({ strict: false }).compile(resourceJsonSchema([definition]));
  const document = (kind: string, spec: object) => ({
    apiVersion: "mecha.dev/v1",
    kind,
    metadata: { name: "a" },
    spec,
  });
  expect(schema(document("Subscription", { topic: "orders", path: "/orders" }))).toBe(true);
  expect(schema(document("Subscription", { type: "picky", config: { url: "x" } }))).toBe(false);
  expect(schema(document("Component", { type: "picky", config: { url: "x" } }))).toBe(true);
  expect(schema(document("Component", { topic: "orders", path: "/orders" }))).toBe(false);
  expect(schema(document("Subscriptoin", { topic: "orders", path: "/orders" }))).toBe(false);
});

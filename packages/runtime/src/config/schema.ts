import type { ComponentDefinition } from "@mecha/component";
import { componentResource } from "./component-resource.js";
import { type Shape, shapeOf } from "./shape.js";

const reference: Shape = {
  oneOf: [
    {
      type: "object",
      description: "The value of an environment variable.",
      properties: { $env: { type: "string", description: "The variable's name." } },
      required: ["$env"],
      additionalProperties: false,
    },
    {
      type: "object",
      description: "A secret.",
      properties: { $secret: { type: "string", description: "<secret store>/<key>: env/DB_PASSWORD." } },
      required: ["$secret"],
      additionalProperties: false,
    },
  ],
};

/** The JSON Schema of resource files, for editors: `spec.config` is that of `spec.type`, and a reference may stand for any value in it. */
export function resourceJsonSchema(definitions: readonly ComponentDefinition[]): Record<string, unknown> {
  const envelope = shapeOf(componentResource);
  const types = definitions.map(({ type, description, config }) => ({
    if: { properties: { spec: { properties: { type: { const: type } }, required: ["type"] } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: {
      properties: { spec: { properties: { config: { ...allowReferences(closed(shapeOf(config))), description } } } },
    },
  }));
  return { ...envelope, title: "Mecha resource", allOf: types };
}

/** Without its own `$schema`: it becomes a part of another. */
function closed({ $schema: _dialect, ...shape }: Shape): Shape {
  return shape;
}

/** `shape`, with a reference allowed at every leaf; containers stay what they are. */
function allowReferences(shape: Shape): Shape {
  const isContainer = shape.properties !== undefined || shape.items !== undefined || shape.type === "object";
  if (!isContainer && shape.anyOf === undefined && shape.oneOf === undefined) {
    const { description, ...leaf } = shape;
    return { ...(description === undefined ? {} : { description }), anyOf: [leaf, reference] };
  }
  const { properties, items, additionalProperties, anyOf, oneOf } = shape;
  return {
    ...shape,
    ...(properties && { properties: mapValues(properties, allowReferences) }),
    ...(typeof items === "object" && { items: allowReferences(items) }),
    ...(typeof additionalProperties === "object" && { additionalProperties: allowReferences(additionalProperties) }),
    ...(anyOf && { anyOf: anyOf.map(allowReferences) }),
    ...(oneOf && { oneOf: oneOf.map(allowReferences) }),
    ...(properties && { additionalProperties: additionalProperties ?? false }),
  };
}

function mapValues(record: Record<string, Shape>, map: (shape: Shape) => Shape): Record<string, Shape> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

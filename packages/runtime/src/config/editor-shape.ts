import type { ComponentDefinition } from "@mecha/component";
import { type Shape, shapeOf, withoutDialect } from "./shape.js";

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

/** The shape of a component's document: `spec.config` is that of `spec.type`, and a reference may stand for any value in it. */
export function componentShape(shape: Shape, definitions: readonly ComponentDefinition[]): Shape {
  const types = definitions.map(
    ({ type, description, config }): Shape => ({
      if: { properties: { spec: { properties: { type: { const: type } }, required: ["type"] } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: {
        properties: {
          spec: { properties: { config: { ...allowReferences(withoutDialect(shapeOf(config))), description } } },
        },
      },
    }),
  );
  return { ...shape, allOf: types };
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

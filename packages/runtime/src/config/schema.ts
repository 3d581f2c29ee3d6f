import type { ComponentDefinition } from "@mecha/component";
import { kinds } from "./kinds.js";
import { type Shape, shapeOf, withoutDialect } from "./shape.js";

/** The JSON Schema of resource files, for editors: a document is judged by its kind. */
export function resourceJsonSchema(definitions: readonly ComponentDefinition[]): Record<string, unknown> {
  const shapes = kinds.map(({ kind, schema, editorShape }) => {
    const shape = withoutDialect(shapeOf(schema));
    return { kind, shape: editorShape?.(shape, definitions) ?? shape };
  });
  const names = shapes.map(({ kind }) => kind);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Mecha resource",
    type: "object",
    // What an editor offers before it knows the kind.
    properties: { kind: { enum: names, description: "What this document configures." } },
    required: ["kind"],
    allOf: shapes.map(
      ({ kind, shape }): Shape => ({
        if: { properties: { kind: { const: kind } }, required: ["kind"] },
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: shape,
      }),
    ),
  };
}

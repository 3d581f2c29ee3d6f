import { z } from "@mecha/component";
import type { ZodType } from "zod";
import type { Path } from "./documents.js";

/** The part of JSON Schema that Zod writes and that is read here. */
export interface Shape {
  type?: string;
  description?: string;
  properties?: Record<string, Shape>;
  additionalProperties?: Shape | boolean;
  items?: Shape | boolean;
  prefixItems?: Shape[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Shape[];
  oneOf?: Shape[];
  allOf?: Shape[];
  if?: Shape;
  then?: Shape;
  required?: string[];
  $ref?: string;
  $defs?: Record<string, Shape>;
  $schema?: string;
}

/** What may be written for `schema`: its input, not what it is parsed to. */
export function shapeOf(schema: ZodType): Shape {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Shape;
}

/** Without its own `$schema`: it becomes a part of another. */
export function withoutDialect({ $schema: _dialect, ...shape }: Shape): Shape {
  return shape;
}

/** `shape` and its alternatives, flattened. */
export function alternatives(shape: Shape): Shape[] {
  const branches = [...(shape.anyOf ?? []), ...(shape.oneOf ?? []), ...(shape.allOf ?? [])];
  return [shape, ...branches.flatMap(alternatives)];
}

/** The shapes that a value at `path` below `shape` may have; empty if nothing is known about it. */
export function shapesAt(shape: Shape, path: Path): Shape[] {
  let shapes = alternatives(shape);
  for (const segment of path) {
    shapes = shapes.flatMap((candidate) => {
      const below = candidate.properties?.[String(segment)] ?? candidate.items ?? candidate.additionalProperties;
      return typeof below === "object" ? alternatives(below) : [];
    });
  }
  return shapes;
}

/** The fields that an object of these shapes may have; undefined if it may have any. */
export function knownFields(shapes: readonly Shape[]): string[] | undefined {
  const objects = shapes.filter((shape) => shape.type === "object" || shape.properties !== undefined);
  const closed = objects.every(
    (shape) => shape.additionalProperties === undefined || shape.additionalProperties === false,
  );
  if (objects.length === 0 || !closed) return undefined;
  return objects.flatMap((shape) => Object.keys(shape.properties ?? {}));
}

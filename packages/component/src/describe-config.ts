import { z } from "zod";
import { between, markdownTable } from "./markdown.js";

/** One option of a component's configuration, for the docs. */
export interface ConfigOption {
  /** Where it stands in `spec.config`: `pool.maxConnections`, `hosts[]`. */
  readonly path: string;
  /** What it takes, in words: `integer, 1 to 100`. */
  readonly type: string;
  /** What it is when left out, as JSON; undefined if there is no default. */
  readonly default: string | undefined;
  readonly required: boolean;
  readonly description: string;
}

/** What has options: a ComponentDefinition. */
interface Configurable {
  readonly config: z.ZodType;
}

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** The options of a component, in the order of its schema. */
export function describeConfig(definition: Configurable): ConfigOption[] {
  return optionsOf(z.toJSONSchema(definition.config, { io: "input", unrepresentable: "any" }), "");
}

/** The options of a component as a table in Markdown, its columns aligned; a sentence if it has none. */
export function optionsTable(definition: Configurable): string {
  const options = describeConfig(definition);
  if (options.length === 0) return "It has no options.";
  const byDefault = (option: ConfigOption) =>
    option.required ? "required" : option.default === undefined ? "" : `\`${option.default}\``;
  const rows = options.map((option) => [`\`${option.path}\``, option.type, byDefault(option), option.description]);
  return markdownTable(["option", "type", "default", "meaning"], rows);
}

const markers = ["<!-- options: generated from the schema -->", "<!-- /options -->"] as const;

/** A README with the component's options between its two markers; throws if it has no markers. */
export function withOptionsTable(readme: string, definition: Configurable): string {
  const page = between(readme, markers, optionsTable(definition));
  if (page === undefined) throw new Error(`the README has no lines "${markers.join('" and "')}"`);
  return page;
}

function optionsOf(schema: JsonSchema, path: string): ConfigOption[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    if (typeof property === "boolean") return [];
    const here = path === "" ? name : `${path}.${name}`;
    const option: ConfigOption = {
      path: here,
      type: typeOf(property),
      default: property.default === undefined ? undefined : JSON.stringify(property.default),
      required: schema.required?.includes(name) ?? false,
      description: property.description ?? "",
    };
    const items = property.items;
    const inner = isSchema(items) ? optionsOf(items, `${here}[]`) : optionsOf(property, here);
    return [option, ...inner];
  });
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(" or ");
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined)
    return alternatives.map((one) => (isSchema(one) ? typeOf(one) : "anything")).join(" or ");
  if (schema.type === "array") return isSchema(schema.items) ? `list of ${typeOf(schema.items)}` : "list";
  return [schema.type ?? "anything", ...rangeOf(schema)].join(", ");
}

/** The bounds of a number, a text or a list; those that no number of its type reaches are left out. */
function rangeOf({ minimum, maximum, minLength, maxLength, type }: JsonSchema): string[] {
  const low = type === "string" ? minLength : minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const high = type === "string" ? maxLength : maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  const of = type === "string" ? "length " : "";
  if (low !== undefined && high !== undefined) return [`${of}${low} to ${high}`];
  if (low !== undefined) return [`${of}at least ${low}`];
  return high === undefined ? [] : [`${of}at most ${high}`];
}

function isSchema(schema: unknown): schema is JsonSchema {
  return typeof schema === "object" && schema !== null && !Array.isArray(schema);
}

import type { ZodError, ZodType } from "zod";
import type { Path } from "./documents.js";
import { alternatives, knownFields, type Shape, shapeOf, shapesAt } from "./shape.js";
import { didYouMean } from "./suggest.js";

type Issue = ZodError["issues"][number];

/** One thing wrong with a value, at a path below it. */
export interface Finding {
  readonly path: Path;
  readonly message: string;
}

/** What validation takes beside schema and value. */
export interface ValidateOptions {
  /** Where `value` stands in its document, for messages: `["spec", "config"]`. Default: it is the document. */
  at?: Path;
  /** Paths whose values came as text from a reference: coerced to what the schema wants, and never shown. */
  coerced?: readonly Path[];
  /** Paths whose values are not known yet; what is wrong there is not told. */
  unknown?: readonly Path[];
}

/**
 * Parses `value` by `schema`, and says everything that is wrong with it in words for whoever wrote the YAML. Fields that the schema does not
 * know are wrong whether or not the schema is strict: a misspelt field that is ignored is the worst kind of default.
 */
export function validate<T>(
  schema: ZodType<T>,
  value: unknown,
  { at = [], coerced = [], unknown = [] }: ValidateOptions = {},
): { readonly value: T; readonly findings: readonly [] } | { readonly findings: readonly Finding[] } {
  const shape = shapeOf(schema);
  const input = coerced.length === 0 ? value : coerce(structuredClone(value), shape, coerced);
  const findings = unknownFields(input, shape, at, []);
  const parsed = schema.safeParse(input);
  for (const issue of parsed.error?.issues ?? []) {
    if (issue.code === "unrecognized_keys" || unknown.some((path) => startsWith(issue.path, path))) continue;
    findings.push({ path: [...at, ...issue.path], message: explain(issue, input, shape, [...at, ...issue.path]) });
  }
  if (findings.length === 0 && parsed.success) return { value: parsed.data, findings: [] };
  return { findings };
}

/** `spec.config.hosts[0]`, as a person writes a path. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, segment) => {
    if (typeof segment === "number") return `${text}[${segment}]`;
    return text === "" ? String(segment) : `${text}.${String(segment)}`;
  }, "");
}

/** The value at `path` below `value`. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, segment) => (inner as Record<PropertyKey, unknown> | null | undefined)?.[segment],
    value,
  );
}

function startsWith(path: Path, start: Path): boolean {
  return start.every((segment, index) => path[index] === segment);
}

function unknownFields(value: unknown, shape: Shape, at: Path, path: Path): Finding[] {
  if (typeof value !== "object" || value === null) return [];
  const known = Array.isArray(value) ? undefined : knownFields(shapesAt(shape, path));
  return Object.keys(value).flatMap((key) => {
    const here = [...path, Array.isArray(value) ? Number(key) : key];
    if (known !== undefined && !known.includes(key)) {
      const fields = known.length === 0 ? "it takes none" : `known: ${known.join(", ")}`;
      return [{ path: [...at, ...here], message: `unknown field "${key}"${didYouMean(key, known) || `; ${fields}`}` }];
    }
    return unknownFields((value as Record<string, unknown>)[key], shape, at, here);
  });
}

/** An issue in words: what is wrong, what it is now, what would be right. */
function explain(issue: Issue, root: unknown, shape: Shape, path: Path): string {
  const field = `"${formatPath(path) || "the resource"}"`;
  const value = valueAt(root, issue.path);
  const about = shapesAt(shape, issue.path).find(({ description }) => description)?.description;
  if (value === undefined) return `${field} is missing${about === undefined ? "" : ` (${about})`}`;
  switch (issue.code) {
    case "invalid_type":
      return `${field} must be ${article(issue.expected)}, not ${article(kindOf(value))}`;
    case "invalid_value":
      return `${field} must be ${issue.values.map((choice) => JSON.stringify(choice)).join(" or ")}${
        typeof value === "string" ? didYouMean(value, issue.values.map(String)) : ""
      }`;
    case "invalid_union": {
      const kinds = new Set(shapesAt(shape, issue.path).flatMap(({ type }) => type ?? []));
      const wanted = kinds.has(kindOf(value)) ? undefined : [...kinds].map(article).join(" or ");
      // One alternative of the right type: its reason is the one that helps.
      const reason = issue.errors.flat().find(({ code }) => code !== "invalid_type");
      if (wanted) return `${field} must be ${wanted}, not ${article(kindOf(value))}`;
      return `${field} is not valid: ${reason?.message ?? issue.message}`;
    }
    default:
      return `${field} is not valid: ${issue.message}`;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function article(kind: string): string {
  const word = { int: "integer", record: "map", object: "map", array: "list" }[kind] ?? kind;
  return word === "null" ? "empty" : `${/^[aeiou]/.test(word) ? "an" : "a"} ${word}`;
}

/** Turns text that came from a reference into the number or boolean that the schema wants there. */
function coerce(value: unknown, shape: Shape, paths: readonly Path[]): unknown {
  for (const path of paths) {
    const key = path.at(-1);
    const parent = valueAt(value, path.slice(0, -1)) as Record<PropertyKey, unknown> | undefined;
    const text = valueAt(value, path);
    if (key === undefined || parent === undefined || typeof text !== "string") continue;
    const types = new Set(
      shapesAt(shape, path)
        .flatMap(alternatives)
        .map(({ type }) => type),
    );
    if (types.has("string")) continue;
    if ((types.has("number") || types.has("integer")) && text.trim() !== "" && !Number.isNaN(Number(text))) {
      parent[key] = Number(text);
    } else if (types.has("boolean") && (text === "true" || text === "false")) {
      parent[key] = text === "true";
    }
  }
  return value;
}

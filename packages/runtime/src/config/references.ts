import type { Path } from "./documents.js";
import type { Finding } from "./validate.js";
import { formatPath } from "./validate.js";

/** A place in a configuration whose value is elsewhere. */
export type Reference =
  | { readonly kind: "env"; readonly path: Path; readonly name: string }
  | { readonly kind: "secret"; readonly path: Path; readonly store: string; readonly key: string };

/** Every `{ $env: NAME }` and `{ $secret: store/key }` in `config`, and those that are malformed. Paths begin at `config`. */
export function findReferences(config: unknown): { references: Reference[]; findings: Finding[] } {
  const references: Reference[] = [];
  const findings: Finding[] = [];
  const visit = (value: unknown, path: Path) => {
    if (typeof value !== "object" || value === null) return;
    const entries = Object.entries(value);
    const dollar = entries.find(([key]) => key.startsWith("$"));
    if (dollar === undefined || Array.isArray(value)) {
      for (const [key, inner] of entries) visit(inner, [...path, Array.isArray(value) ? Number(key) : key]);
      return;
    }
    const reference = parseReference(dollar[0], dollar[1], path);
    if (reference === undefined || entries.length > 1) findings.push({ path, message: malformed(path) });
    else references.push(reference);
  };
  visit(config, []);
  return { references, findings };
}

/** `config` with the values of `references` in their places, as far as `values` has them; `config` itself is left alone. */
export function substitute(config: unknown, values: ReadonlyMap<Reference, string>): unknown {
  let result: unknown = structuredClone(config);
  for (const [{ path }, text] of values) {
    const key = path.at(-1);
    if (key === undefined) result = text;
    else {
      const parent = path
        .slice(0, -1)
        .reduce<unknown>((inner, at) => (inner as Record<PropertyKey, unknown>)[at], result);
      (parent as Record<PropertyKey, unknown>)[key] = text;
    }
  }
  return result;
}

function parseReference(keyword: string, target: unknown, path: Path): Reference | undefined {
  if (typeof target !== "string" || target === "") return undefined;
  if (keyword === "$env") return { kind: "env", path, name: target };
  const slash = target.indexOf("/");
  if (keyword !== "$secret" || slash < 1 || slash === target.length - 1) return undefined;
  return { kind: "secret", path, store: target.slice(0, slash), key: target.slice(slash + 1) };
}

function malformed(path: Path): string {
  return `"${formatPath(["spec", "config", ...path])}" is not a reference: write { $env: NAME } or { $secret: store/key }, and nothing beside it`;
}

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ComponentDefinition } from "@mecha/component";
import { didYouMean } from "../config/suggest.js";

/** Finds the definition of a type of component, or says why there is none. */
export interface DefinitionLookup {
  find(type: string, baseDir: string): Promise<{ definition: ComponentDefinition } | { reason: string }>;
}

/** The parts of the runtime's options that a lookup needs. */
export interface DefinitionLookupOptions {
  readonly components: readonly ComponentDefinition[];
  readonly resolveComponent: (type: string) => Promise<ComponentDefinition | undefined>;
  readonly knownComponentTypes: readonly string[];
}

/** What comes with @mecha/runtime itself. */
const ownTypes = ["sqlite", "env", "file"];

const packageName = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

/**
 * Looks a type up: among the definitions at hand, as a package that resolves from the resource file's folder, among the CLI's own, and last
 * among the packages that come with the runtime. Nothing here is a static import of a concrete component.
 */
export function createDefinitionLookup(options: DefinitionLookupOptions): DefinitionLookup {
  const { components, resolveComponent, knownComponentTypes } = options;
  return {
    async find(type, baseDir) {
      const atHand = components.find((definition) => definition.type === type);
      if (atHand !== undefined) return { definition: atHand };
      try {
        const definition =
          (await importDefinition(type, join(baseDir, "resources.js"))) ??
          (await resolveComponent(type)) ??
          (await importDefinition(type, import.meta.url));
        if (definition !== undefined) return { definition };
      } catch (error) {
        return {
          reason: `component type "${type}" could not be loaded: ${error instanceof Error ? error.message : error}`,
        };
      }
      const known = [
        ...new Set([...components.map((definition) => definition.type), ...knownComponentTypes, ...ownTypes]),
      ];
      const available = `available: ${known.toSorted((a, b) => a.localeCompare(b)).join(", ")}`;
      const missing = packageOf(type);
      const meant = didYouMean(type, known);
      // A misspelt type must not lead to installing whatever bears that name.
      const install =
        missing === undefined || meant !== "" ? "" : `; or npm install ${missing} beside the resource file`;
      return { reason: `unknown component type "${type}"${meant || ";"} ${available}${install}` };
    },
  };
}

/**
 * Type `redis` is package `@mecha/component-redis`; a third party's type is its package's name, which has a scope or "mecha" in it: a driver that
 * happens to be called `redis` is never loaded by mistake.
 */
function packageOf(type: string): string | undefined {
  if (!packageName.test(type)) return undefined;
  return type.includes("/") || type.includes("mecha") ? type : `@mecha/component-${type}`;
}

async function importDefinition(type: string, from: string): Promise<ComponentDefinition | undefined> {
  const name = packageOf(type);
  if (name === undefined) return undefined;
  let path: string;
  try {
    path = createRequire(from).resolve(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
  const module: Record<string, unknown> = await import(pathToFileURL(path).href);
  const definition = Object.values(module)
    .filter(isDefinition)
    .find((exported) => exported.type === type);
  if (definition === undefined) throw new Error(`package "${name}" exports no component definition of type "${type}"`);
  return definition;
}

function isDefinition(value: unknown): value is ComponentDefinition {
  return typeof value === "object" && value !== null && "type" in value && "create" in value && "config" in value;
}

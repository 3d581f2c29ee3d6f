import type { ComponentDefinition } from "@mecha/component";
import { type BlockName, blockNames } from "../blocks/registry.js";
import type { DefinitionLookup } from "../components/definitions.js";
import { assignStores } from "./assist.js";
import type { ComponentPlan } from "./component-plan.js";
import { apiVersion, type ComponentResource, componentResource } from "./component-resource.js";
import { type ResourceDocument, type ResourceObject, readDocuments } from "./documents.js";
import { addImplicit } from "./implicit.js";
import type { Problem } from "./problem.js";
import { findReferences } from "./references.js";
import { checkNames, checkSecretStores, chooseDefaults } from "./relations.js";
import { resolveConfig } from "./resolve.js";
import { didYouMean } from "./suggest.js";
import { validate } from "./validate.js";

/** What the resources say, checked as far as it can be without starting anything. */
export interface Plan {
  readonly components: readonly ComponentPlan[];
  readonly problems: readonly Problem[];
  /** The files and folders that it was read from. */
  readonly watched: readonly string[];
}

/** What a plan is made from. */
export interface PlanOptions {
  readonly resources: readonly (string | ResourceObject)[] | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly definitions: DefinitionLookup;
}

/** Reads the resources and plans their components. Every problem is found, not only the first. */
export async function planResources(options: PlanOptions): Promise<Plan> {
  const { documents, problems, watched } = await readDocuments(options.resources);
  const planned: ComponentPlan[] = [];
  const found: Problem[] = [...problems];
  for (const document of documents) {
    const resource = checkEnvelope(document, found);
    if (resource === undefined) continue;
    const plan = await planComponent(resource, document, options.definitions, found);
    if (plan !== undefined) planned.push(plan);
  }
  // What is missing, and who the default is, cannot be judged while a resource is unreadable: its component would count as absent.
  const readable = found.length === 0;
  let components = readable ? await addImplicit(planned, options, found) : planned;
  checkNames(components, found);
  if (readable) {
    checkSecretStores(components, found);
    components = assignStores(chooseDefaults(components, found), found);
  }
  for (const plan of components) {
    const sources = { environment: options.environment, secretStore: () => undefined, signal: AbortSignal.abort() };
    found.push(...(await resolveConfig(plan, sources)).problems);
  }
  return { components, problems: inReadingOrder(found), watched };
}

/** By file, in the order they were read, then by line: the order in which a person goes through them. */
function inReadingOrder(problems: readonly Problem[]): Problem[] {
  const files = new Map<string, Problem[]>();
  for (const problem of problems) {
    const file = problem.source.replace(/:\d+$/, "");
    files.set(file, [...(files.get(file) ?? []), problem]);
  }
  const lineOf = ({ source }: Problem) => Number(/:(\d+)$/.exec(source)?.[1] ?? 0);
  return [...files.values()].flatMap((ofFile) => ofFile.toSorted((a, b) => lineOf(a) - lineOf(b)));
}

function checkEnvelope(document: ResourceDocument, problems: Problem[]): ComponentResource | undefined {
  const { value } = document;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const message = `a resource is a map with apiVersion, kind, metadata and spec`;
    problems.push({ source: document.sourceOf([]), message });
    return undefined;
  }
  const kind: unknown = "kind" in value ? value.kind : undefined;
  if (typeof kind === "string" && kind !== "Component") {
    const message = `unknown kind "${kind}"${didYouMean(kind, ["Component"]) || "; known: Component"}`;
    problems.push({ source: document.sourceOf(["kind"]), message });
    return undefined;
  }
  const checked = validate(componentResource, { apiVersion, ...value });
  if ("value" in checked && "apiVersion" in value) return checked.value;
  if (!("apiVersion" in value)) {
    problems.push({
      source: document.sourceOf([]),
      message: `"apiVersion" is missing; write apiVersion: ${apiVersion}`,
    });
  }
  for (const { path, message } of checked.findings) problems.push({ source: document.sourceOf(path), message });
  return undefined;
}

async function planComponent(
  resource: ComponentResource,
  document: ResourceDocument,
  definitions: DefinitionLookup,
  problems: Problem[],
): Promise<ComponentPlan | undefined> {
  const { metadata, spec } = resource;
  const resourceName = `Component/${metadata.name}`;
  const add = (path: readonly PropertyKey[], message: string) =>
    problems.push({ source: document.sourceOf(path), resource: resourceName, message });

  const rawConfig = spec.config ?? {};
  const { references, findings } = findReferences(rawConfig);
  for (const { path, message } of findings) add(["spec", "config", ...path], message);

  const lookup = await definitions.find(spec.type, document.baseDir);
  if ("reason" in lookup) {
    add(["spec", "type"], lookup.reason);
    return undefined;
  }
  const { definition } = lookup;
  const able = blockNames.filter((name) => definition.serves[name] !== undefined);
  const blocks = spec.blocks ?? able;
  for (const [index, block] of blocks.entries()) {
    if (!able.includes(block)) {
      add(["spec", "blocks", index], `type "${spec.type}" does not serve "${block}"; it serves: ${able.join(", ")}`);
    }
  }
  const chosen = Array.isArray(spec.default) ? spec.default : spec.default === true ? blocks : [];
  for (const [index, block] of chosen.entries()) {
    if (!blocks.includes(block)) {
      add(["spec", "default", index], `it cannot be the default of "${block}", which it does not serve`);
    }
  }
  for (const [index, feature] of (spec.requires ?? []).entries()) {
    const features = blocks.flatMap((name) => declaredFeatures(definition, name));
    if (!features.includes(feature)) {
      const hint = didYouMean(feature, features) || `; it has: ${features.join(", ") || "none"}`;
      add(["spec", "requires", index], `type "${spec.type}" has no feature "${feature}"${hint}`);
    }
  }
  return {
    name: metadata.name,
    definition,
    rawConfig,
    references,
    blocks,
    defaults: chosen,
    requires: spec.requires ?? [],
    scopes: spec.scopes,
    keyspace: spec.keyspace ?? "app",
    acceptDurability: spec.acceptDurability ?? "HOST",
    store: spec.assist?.store,
    implicit: false,
    document,
  };
}

function declaredFeatures(definition: ComponentDefinition, name: BlockName): readonly string[] {
  const served = definition.serves[name];
  return served !== undefined && "features" in served ? served.features : [];
}

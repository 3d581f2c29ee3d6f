import type { ComponentDefinition, Durability } from "@mecha/component";
import { appBlocks, type BlockName, blockNames } from "../blocks/registry.js";
import type { DefinitionLookup } from "../components/definitions.js";
import { apiVersion, type ComponentResource, componentResource } from "./component-resource.js";
import { type ResourceDocument, type ResourceObject, readDocuments } from "./documents.js";
import type { Problem } from "./problem.js";
import { findReferences, type Reference } from "./references.js";
import { resolveConfig } from "./resolve.js";
import { didYouMean } from "./suggest.js";
import { validate } from "./validate.js";

/** One component as the resources want it; its configuration still has references in it. */
export interface ComponentPlan {
  readonly name: string;
  readonly definition: ComponentDefinition;
  /** `spec.config`, references and all. */
  readonly rawConfig: unknown;
  readonly references: readonly Reference[];
  readonly blocks: readonly BlockName[];
  /** The blocks that it is the chosen default of. */
  readonly defaults: readonly BlockName[];
  readonly requires: readonly string[];
  /** The app ids that may use it; undefined: all. */
  readonly scopes: readonly string[] | undefined;
  readonly keyspace: "app" | "shared";
  readonly acceptDurability: Durability;
  /** No resource names it. */
  readonly implicit: boolean;
  readonly document: ResourceDocument;
}

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

/** The name of the component that exists without a resource. */
export const implicitName = "default";

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
    components = chooseDefaults(components, found);
  }
  for (const plan of components) {
    const sources = { environment: options.environment, secretStore: () => undefined, signal: AbortSignal.abort() };
    found.push(...(await resolveConfig(plan, sources)).problems);
  }
  return { components, problems: found, watched };
}

/** `Component/orders-db` */
export function resourceId(plan: ComponentPlan): string {
  return `Component/${plan.name}`;
}

/** A problem with a component, at a path of its document. */
export function problemOf(plan: ComponentPlan, message: string, path: readonly PropertyKey[] = []): Problem {
  return { source: plan.document.sourceOf(path), resource: resourceId(plan), message };
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
    implicit: false,
    document,
  };
}

function declaredFeatures(definition: ComponentDefinition, name: BlockName): readonly string[] {
  const served = definition.serves[name];
  return served !== undefined && "features" in served ? served.features : [];
}

/** The components that exist without a resource: the embedded default for blocks nobody serves, and the secret stores that are referred to. */
async function addImplicit(
  planned: readonly ComponentPlan[],
  { definitions, environment }: PlanOptions,
  problems: Problem[],
): Promise<ComponentPlan[]> {
  const components = [...planned];
  const names = new Set(planned.map(({ name }) => name));
  const secretStores = new Set(
    planned.flatMap(({ references }) =>
      references.flatMap((reference) => (reference.kind === "secret" ? reference.store : [])),
    ),
  );
  for (const store of ["env", "file"]) {
    if (!secretStores.has(store) || names.has(store)) continue;
    components.push(await implicitComponent(store, store, ["secret"], definitions));
  }
  const unserved = appBlocks
    .map(({ name }) => name)
    .filter((name) => !planned.some(({ blocks }) => blocks.includes(name)));
  if (unserved.length === 0) return components;
  const what = unserved.map((name) => `"${name}"`).join(", ");
  if (environment.KUBERNETES_SERVICE_HOST) {
    problems.push({
      source: "resources",
      message: `no component serves ${what}, and inside Kubernetes there is no embedded default: a pod's disk goes with the pod. Add a component (for instance type postgres), or one of type sqlite on a persistent volume`,
    });
  } else if (names.has(implicitName)) {
    problems.push({
      source: "resources",
      message: `no component serves ${what}, and the embedded one cannot be added: its name "${implicitName}" is taken. Add a component for ${what}, or rename that one`,
    });
  } else {
    components.push(await implicitComponent(implicitName, "sqlite", unserved, definitions));
  }
  return components;
}

async function implicitComponent(
  name: string,
  type: string,
  blocks: readonly BlockName[],
  definitions: DefinitionLookup,
): Promise<ComponentPlan> {
  const lookup = await definitions.find(type, process.cwd());
  if ("reason" in lookup) throw new Error(lookup.reason);
  return {
    name,
    definition: lookup.definition,
    rawConfig: {},
    references: [],
    blocks,
    defaults: [],
    requires: [],
    scopes: undefined,
    keyspace: "app",
    acceptDurability: "HOST",
    implicit: true,
    document: { value: {}, file: "", baseDir: process.cwd(), sourceOf: () => "(embedded default)" },
  };
}

function checkNames(components: readonly ComponentPlan[], problems: Problem[]): void {
  const first = new Map<string, ComponentPlan>();
  for (const plan of components) {
    const other = first.get(plan.name);
    if (other === undefined) first.set(plan.name, plan);
    else {
      const where = other.document.sourceOf(["metadata", "name"]);
      problems.push(
        problemOf(plan, `there is another component "${plan.name}" at ${where}; rename one`, ["metadata", "name"]),
      );
    }
  }
}

function checkSecretStores(components: readonly ComponentPlan[], problems: Problem[]): void {
  const stores = components.filter(({ blocks }) => blocks.includes("secret"));
  const names = [...new Set(["env", "file", ...stores.map(({ name }) => name)])];
  for (const plan of components) {
    for (const reference of plan.references) {
      if (reference.kind !== "secret" || stores.some(({ name }) => name === reference.store)) continue;
      const hint = didYouMean(reference.store, names) || `; there are: ${names.join(", ")}`;
      problems.push(
        problemOf(plan, `there is no secret store "${reference.store}"${hint}`, ["spec", "config", ...reference.path]),
      );
    }
    const cycle = findCycle(plan, components);
    if (cycle !== undefined) {
      problems.push(
        problemOf(plan, `its configuration needs secrets in a circle: ${cycle.join(" → ")}`, ["spec", "config"]),
      );
    }
  }
}

/** The names of a way from `plan` back to it over secret references. */
function findCycle(plan: ComponentPlan, components: readonly ComponentPlan[]): string[] | undefined {
  const seen = new Set<string>();
  const visit = (at: ComponentPlan, way: string[]): string[] | undefined => {
    for (const store of secretStoresOf(at)) {
      if (store === plan.name) return [...way, store];
      if (seen.has(store)) continue;
      seen.add(store);
      const next = components.find(({ name }) => name === store);
      const found = next === undefined ? undefined : visit(next, [...way, store]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return visit(plan, [plan.name]);
}

/** The secret stores that a component's configuration refers to. */
export function secretStoresOf(plan: ComponentPlan): string[] {
  return [...new Set(plan.references.flatMap((reference) => (reference.kind === "secret" ? [reference.store] : [])))];
}

/** Each block's default: the one that says so, or the only one that serves it. */
function chooseDefaults(components: readonly ComponentPlan[], problems: Problem[]): ComponentPlan[] {
  const defaults = new Map<ComponentPlan, BlockName[]>();
  for (const { name: block } of appBlocks) {
    const serving = components.filter(({ blocks }) => blocks.includes(block));
    const claiming = serving.filter((plan) => plan.defaults.includes(block));
    const candidates = claiming.length > 0 ? claiming : serving;
    const [only, ...others] = candidates;
    if (only === undefined) continue;
    if (others.length === 0) {
      defaults.set(only, [...(defaults.get(only) ?? []), block]);
      continue;
    }
    const names = candidates.map(({ name }) => `"${name}"`).join(", ");
    const message =
      claiming.length > 0
        ? `${names} all say that they are the default of block "${block}"; one can be`
        : `${names} all serve block "${block}" and none is its default; write default: true (or a list of blocks) in one`;
    for (const plan of candidates) problems.push(problemOf(plan, message, ["spec", "default"]));
  }
  return components.map((plan) => ({ ...plan, defaults: defaults.get(plan) ?? [] }));
}

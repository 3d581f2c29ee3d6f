import type { DefinitionLookup } from "../components/definitions.js";
import { assignStores } from "./assist.js";
import { type ComponentPlan, isComponent } from "./component-plan.js";
import { type ResourceDocument, type ResourceObject, readDocuments } from "./documents.js";
import { addImplicit } from "./implicit.js";
import type { Kind } from "./kind.js";
import { kinds } from "./kinds.js";
import type { Problem } from "./problem.js";
import { checkNames, checkSecretStores, chooseDefaults } from "./relations.js";
import { resolveConfig } from "./resolve.js";
import { apiVersion, type ResourcePlan } from "./resource.js";
import { didYouMean } from "./suggest.js";
import { validate } from "./validate.js";

/** What the resources say, checked as far as it can be without starting anything. */
export interface Plan {
  readonly components: readonly ComponentPlan[];
  /** What is planned beside components. */
  readonly others: readonly ResourcePlan[];
  readonly problems: readonly Problem[];
  /** The files and folders that it was read from. */
  readonly watched: readonly string[];
}

/** What a plan is made from. */
export interface PlanOptions {
  readonly resources: readonly (string | ResourceObject)[] | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly definitions: DefinitionLookup;
  readonly appId: string;
  /** Whether and how apps call one another. */
  readonly mesh?: { readonly asked: boolean } | undefined;
  /** The port that the app listens on, if it does. */
  readonly appPort?: number | undefined;
}

/** Reads the resources and plans what they ask for. Every problem is found, not only the first. */
export async function planResources(options: PlanOptions): Promise<Plan> {
  const { documents, problems, watched } = await readDocuments(options.resources);
  const planned: ResourcePlan[] = [];
  const found: Problem[] = [...problems];
  for (const document of documents) {
    const checked = checkEnvelope(document, found);
    const plan = await checked?.kind.plan(checked.resource, document, { ...options, problems: found });
    if (plan !== undefined) planned.push(plan);
  }
  const others = planned.filter((plan) => !isComponent(plan));
  // What is missing, and who the default is, cannot be judged while a resource is unreadable: its component would count as absent.
  const readable = found.length === 0;
  let components = planned.filter(isComponent);
  if (readable) components = await addImplicit(components, options, found);
  checkNames([...components, ...others], found);
  if (readable) {
    checkSecretStores(components, found);
    components = assignStores(chooseDefaults(components, found), found);
    const context = { components, appId: options.appId, problems: found };
    for (const { kind, relate } of kinds) relate(plansOf(kind, others), context);
  }
  for (const plan of components) {
    const sources = { environment: options.environment, secretStore: () => undefined, signal: AbortSignal.abort() };
    found.push(...(await resolveConfig(plan, sources)).problems);
  }
  return { components, others, problems: inReadingOrder(found), watched };
}

/** The plans of one kind. */
export function plansOf(kind: string, plans: readonly ResourcePlan[]): ResourcePlan[] {
  return plans.filter((plan) => plan.kind === kind);
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

/** The document by its kind's schema. */
function checkEnvelope(
  document: ResourceDocument,
  problems: Problem[],
): { readonly kind: Kind; readonly resource: unknown } | undefined {
  const { value } = document;
  const add = (message: string, path: readonly PropertyKey[] = []) =>
    problems.push({ source: document.sourceOf(path), message });
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    add("a resource is a map with apiVersion, kind, metadata and spec");
    return undefined;
  }
  const name: unknown = "kind" in value ? value.kind : undefined;
  const names = kinds.map(({ kind }) => kind);
  const kind = kinds.find((candidate) => candidate.kind === name);
  if (kind === undefined) {
    if (name === undefined) add(`"kind" is missing; it is one of: ${names.join(", ")}`);
    else add(`unknown kind "${name}"${didYouMean(String(name), names) || `; known: ${names.join(", ")}`}`, ["kind"]);
    return undefined;
  }
  const checked = validate(kind.schema, { apiVersion, ...value });
  if ("value" in checked && "apiVersion" in value) return { kind, resource: checked.value };
  if (!("apiVersion" in value)) add(`"apiVersion" is missing; write apiVersion: ${apiVersion}`);
  for (const { path, message } of checked.findings) add(message, path);
  return undefined;
}

import { appBlocks, type BlockName } from "../blocks/registry.js";
import type { DefinitionLookup } from "../components/definitions.js";
import { type ComponentPlan, secretStoresOf } from "./component-plan.js";
import type { PlanOptions } from "./plan.js";
import type { Problem } from "./problem.js";

/** The name of the component that exists without a resource. */
const implicitName = "default";

/** The components that exist without a resource: the embedded default for blocks nobody serves, and the secret stores that are referred to. */
export async function addImplicit(
  planned: readonly ComponentPlan[],
  { definitions, environment }: Pick<PlanOptions, "definitions" | "environment">,
  problems: Problem[],
): Promise<ComponentPlan[]> {
  const components = [...planned];
  const names = new Set(planned.map(({ name }) => name));
  const secretStores = new Set(planned.flatMap(secretStoresOf));
  for (const store of ["env", "file"]) {
    if (!secretStores.has(store) || names.has(store)) continue;
    components.push(...(await implicitComponent(store, store, ["secret"], definitions, problems)));
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
    components.push(...(await implicitComponent(implicitName, "sqlite", unserved, definitions, problems)));
  }
  return components;
}

/** The component of that type, if it can be loaded. */
async function implicitComponent(
  name: string,
  type: string,
  blocks: readonly BlockName[],
  definitions: DefinitionLookup,
  problems: Problem[],
): Promise<ComponentPlan[]> {
  const source = `(embedded ${type})`;
  const baseDir = process.cwd();
  const lookup = await definitions.find(type, baseDir);
  if ("reason" in lookup) {
    problems.push({ source, message: lookup.reason });
    return [];
  }
  const plan: ComponentPlan = {
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
    document: { value: {}, file: "", baseDir, sourceOf: () => source },
  };
  return [plan];
}

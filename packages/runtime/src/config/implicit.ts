import { appBlocks, type BlockName } from "../blocks/registry.js";
import type { DefinitionLookup } from "../components/definitions.js";
import { type ComponentPlan, secretStoresOf } from "./component-plan.js";
import type { PlanOptions } from "./plan.js";
import type { Problem } from "./problem.js";

/** What the component that exists without a resource is called: the first name that no resource has. */
const implicitNames = ["default", "embedded"];

/** The components that exist without a resource: the embedded default for blocks nobody serves, and the secret stores that are referred to. */
export async function addImplicit(
  planned: readonly ComponentPlan[],
  { definitions, environment, mesh, appPort }: Pick<PlanOptions, "definitions" | "environment" | "mesh" | "appPort">,
  problems: Problem[],
): Promise<ComponentPlan[]> {
  const components = [...planned];
  const names = new Set(planned.map(({ name }) => name));
  const secretStores = new Set(planned.flatMap(secretStoresOf));
  for (const store of ["env", "file"]) {
    if (!secretStores.has(store) || names.has(store)) continue;
    components.push(...(await implicitComponent(store, store, ["secret"], definitions, problems)));
  }
  const isServed = (block: BlockName) => planned.some(({ blocks }) => blocks.includes(block));
  const unserved = appBlocks.map(({ name }) => name).filter((name) => !isServed(name));
  if (environment.KUBERNETES_SERVICE_HOST) {
    // With resources, what they leave out is left out on purpose: a call of it hears that nothing serves it.
    if (unserved.length === appBlocks.length) problems.push({ source: "resources", message: kubernetesRefusal });
    return components;
  }
  if (unserved.length === 0 && isServed("discovery")) return components;
  const name = implicitNames.find((candidate) => !names.has(candidate));
  if (name === undefined) return components;
  // For discovery alone only where there is an app to be found, by whoever asked for that.
  const isFound = mesh?.asked === true && appPort !== undefined;
  const wanted: BlockName[] = isServed("discovery") ? unserved : [...unserved, "discovery"];
  const embedded = await implicitComponent(name, "sqlite", wanted, definitions, problems);
  return [...components, ...embedded.filter(({ blocks }) => isFound || blocks.some((block) => block !== "discovery"))];
}

const kubernetesRefusal =
  "there is no component, and inside Kubernetes no embedded default either: a pod's disk goes with the pod. Add a component (for instance type postgres), or one of type sqlite on a persistent volume";

/** The component of that type for those of `blocks` that it can serve, if it can be loaded. */
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
  const { definition } = lookup;
  const served = blocks.filter((block) => definition.serves[block] !== undefined);
  if (served.length === 0) return [];
  const plan: ComponentPlan = {
    kind: "Component",
    name,
    definition,
    rawConfig: {},
    references: [],
    blocks: served,
    defaults: [],
    requires: [],
    scopes: undefined,
    keyspace: "app",
    acceptDurability: "HOST",
    store: undefined,
    implicit: true,
    document: { value: {}, file: "", baseDir, sourceOf: () => source },
  };
  return [plan];
}

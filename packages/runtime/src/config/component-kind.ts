import type { ComponentDefinition } from "@mecha/component";
import { type BlockName, blockNames } from "../blocks/registry.js";
import type { ComponentPlan } from "./component-plan.js";
import { type ComponentResource, componentResource } from "./component-resource.js";
import type { ResourceDocument } from "./documents.js";
import { componentShape } from "./editor-shape.js";
import type { Kind, PlanContext } from "./kind.js";
import { findReferences } from "./references.js";
import { resourceId } from "./resource.js";
import { didYouMean } from "./suggest.js";

/** `kind: Component`. How components relate is judged where all resources are planned: the others need the outcome. */
export const componentKind: Kind<ComponentResource, ComponentPlan> = {
  kind: "Component",
  schema: componentResource,
  editorShape: componentShape,
  plan: planComponent,
  relate() {},
};

async function planComponent(
  resource: ComponentResource,
  document: ResourceDocument,
  { definitions, problems }: PlanContext,
): Promise<ComponentPlan | undefined> {
  const { metadata, spec } = resource;
  const resourceName = resourceId({ kind: "Component", name: metadata.name });
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
  const { serves, servesOnRequest = {} } = definition;
  const able = blockNames.filter((name) => (serves[name] ?? servesOnRequest[name]) !== undefined);
  const named = Array.isArray(spec.default) ? spec.default : [];
  const blocks = spec.blocks ?? able.filter((name) => serves[name] !== undefined || named.includes(name));
  for (const [index, block] of blocks.entries()) {
    if (!able.includes(block)) {
      add(["spec", "blocks", index], `type "${spec.type}" does not serve "${block}"; it serves: ${able.join(", ")}`);
    }
  }
  const chosen = spec.default === true ? blocks : named;
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
    kind: "Component",
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
  const served = definition.serves[name] ?? definition.servesOnRequest?.[name];
  return served !== undefined && "features" in served ? served.features : [];
}

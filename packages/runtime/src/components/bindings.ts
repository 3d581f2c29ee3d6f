import type { Blocks } from "@mecha/component";
import { type BlockName, blockNames } from "../blocks/registry.js";
import type { ComponentPlan } from "../config/component-plan.js";
import type { ComponentCalls } from "../policy/component-calls.js";
import type { LiveComponent } from "./live.js";

/** A block of a live component, as this runtime's app sees it. */
export interface Binding<Name extends BlockName> {
  readonly live: LiveComponent;
  readonly serve: NonNullable<Blocks[Name]>;
  /** The part of the component that the app sees. */
  readonly keyspace: string;
}

/** What calls find: a block's bindings by the component's name, the default one by "" too. */
export type Bindings = { readonly [Name in keyof Required<Blocks>]: Map<string, Binding<Name>> };

/** Whose calls they are, and how they are made. */
export interface BindOptions {
  readonly appId: string;
  readonly namespace: string;
  /** Makes the calls of components as policies say. Default: they are made as they are. */
  readonly calls?: ComponentCalls;
}

/** What calls find of components that run. */
export function bindAll(running: Iterable<LiveComponent>, options: BindOptions): Bindings {
  const next = emptyBindings();
  for (const live of running) {
    for (const block of blockNames) bind(next, block, live, options);
  }
  return next;
}

function bind<Name extends BlockName>(table: Bindings, block: Name, live: LiveComponent, options: BindOptions): void {
  const { appId, namespace } = options;
  const { plan, component } = live;
  const raw = component.blocks[block];
  if (raw === undefined || !plan.blocks.includes(block) || !inScope(plan, appId)) return;
  const serve = options.calls?.guard(plan.name, block, raw) ?? raw;
  const keyspace = plan.keyspace === "shared" ? `${namespace}/_shared` : `${namespace}/${appId}`;
  const binding: Binding<Name> = { live, serve, keyspace };
  table[block].set(plan.name, binding);
  if (plan.defaults.includes(block)) table[block].set("", binding);
}

function inScope(plan: ComponentPlan, appId: string): boolean {
  return plan.scopes === undefined || plan.scopes.includes(appId);
}

/** What calls find while nothing runs. */
export function emptyBindings(): Bindings {
  return Object.fromEntries(blockNames.map((name) => [name, new Map()])) as Bindings;
}

import { isDeepStrictEqual } from "node:util";
import type { AssistStore, Clock, SecretStore } from "@mecha/component";
import { ComponentError, systemClock } from "@mecha/component";
import type { BlockName } from "../blocks/registry.js";
import { type ComponentPlan, dependenciesOf } from "../config/component-plan.js";
import type { Plan } from "../config/plan.js";
import { ConfigurationError, type Problem } from "../config/problem.js";
import { resolveConfig } from "../config/resolve.js";
import { problemOf } from "../config/resource.js";
import { type Binding, type BindOptions, bindAll, emptyBindings } from "./bindings.js";
import { watchHealth } from "./health.js";
import type { LiveComponent } from "./live.js";
import { findLacking, type StartOptions, startComponent } from "./start.js";
import { whyNot } from "./why-not.js";

export type { Binding } from "./bindings.js";

/** The live components. */
export interface ComponentRegistry {
  /**
   * Makes what runs what `plan` says: starts what is new, swaps what changed, retires what is gone. The first time any problem stops
   * everything and rejects; later a component whose change fails keeps running as it was, and the problems are returned.
   */
  apply(plan: Pick<Plan, "components">): Promise<readonly Problem[]>;
  /** The component that a call gets: by name, or the default one for "". Throws the error for the caller. */
  use<Name extends BlockName>(block: Name, name: string): Binding<Name>;
  /** Every component that the app can call for a block. */
  bindings<Name extends BlockName>(block: Name): readonly Binding<Name>[];
  /** The component that a call without a name gets, if there is one. */
  defaultOf(block: BlockName): LiveComponent | undefined;
  /** What runs, by name. */
  list(): readonly LiveComponent[];
  /** Calls back whenever a component's health turned or a component was swapped; the function that is returned stops that. */
  onChange(listener: () => void): () => void;
  /** Ends every stream, so that callers go on elsewhere. */
  endStreams(reason: string): void;
  /** Waits for calls until `timedOut` settles, then closes every component. */
  close(timedOut: Promise<unknown>): Promise<void>;
}

/** Options of {@link createComponentRegistry}. */
export interface ComponentRegistryOptions extends StartOptions, BindOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly drainTimeoutMs: number;
  readonly healthIntervalMs: number;
}

/** Creates an empty registry; `apply` fills it. */
export function createComponentRegistry(registryOptions: ComponentRegistryOptions): ComponentRegistry {
  const options = { ...registryOptions, assistStore: (plan: ComponentPlan) => assistStore(plan) };
  const { appId, namespace, logger, clock } = options;
  const running = new Map<string, LiveComponent>();
  const stopHealth = new Map<LiveComponent, () => void>();
  const retiring = new Set<Promise<void>>();
  /** Components between their old and their new instance (`replace: stop-first`). */
  const stoppedFirst = new Set<string>();
  const listeners = new Set<() => void>();
  let bindings = emptyBindings();
  let phase: "starting" | "running" | "closed" = "starting";

  const changed = () => {
    for (const listener of listeners) listener();
  };

  /** Recalculates what calls find; a call sees the table before or after, never between. */
  const rebind = () => {
    bindings = bindAll(running.values(), options);
    changed();
  };

  options.calls?.onChange(rebind);

  /** What closes after those that keep things in it. */
  let closing: ReadonlyMap<string, LiveComponent> = new Map();

  const assistStore = ({ name, store }: ComponentPlan): AssistStore | undefined => {
    if (store === undefined) return undefined;
    const keyspace = `${namespace}/_assist/${name}`;
    return {
      async use(work) {
        const live = running.get(store) ?? closing.get(store);
        const state = live?.component.blocks.state;
        if (live === undefined || state === undefined) {
          const message = `state store "${store}" does not run now`;
          throw new ComponentError("COMPONENT_UNAVAILABLE", message, {
            metadata: { component: store },
            retryAfterMs: 200,
          });
        }
        return live.track(Promise.resolve(work(state, keyspace)));
      },
    };
  };

  const add = (live: LiveComponent) => {
    running.set(live.plan.name, live);
    const { healthIntervalMs: intervalMs } = options;
    stopHealth.set(live, watchHealth(live, { clock, logger, intervalMs, onChange: changed }));
    rebind();
  };

  const forget = (live: LiveComponent) => {
    stopHealth.get(live)?.();
    stopHealth.delete(live);
    if (running.get(live.plan.name) === live) running.delete(live.plan.name);
    rebind();
  };

  const retire = async (live: LiveComponent, reason: string, timedOut?: Promise<unknown>): Promise<void> => {
    stopHealth.get(live)?.();
    stopHealth.delete(live);
    let cancelTimer = () => {};
    const deadline =
      timedOut ?? new Promise<void>((resolve) => (cancelTimer = systemClock.after(options.drainTimeoutMs, resolve)));
    const done = live
      .retire(reason, deadline)
      .catch((err: unknown) =>
        logger.error({ component: live.plan.name, err }, `component "${live.plan.name}" did not close cleanly`),
      )
      .finally(() => {
        cancelTimer();
        retiring.delete(done);
      });
    retiring.add(done);
    await done;
  };

  /** Brings one component to what `plan` says; rejects without a change if that fails. */
  const bring = async (plan: ComponentPlan, config: unknown): Promise<void> => {
    const old = running.get(plan.name);
    if (old === undefined) {
      add(await startComponent(plan, config, options));
      return;
    }
    if (isSame(old, plan, config)) {
      const lacking = findLacking(plan, old.component);
      if (lacking !== undefined) throw new Error(`component "${plan.name}" ${lacking}`);
      old.plan = plan;
      rebind();
      return;
    }
    const reason = `component "${plan.name}" was replaced; open the stream again with its last resume token`;
    if (plan.definition.replace === "stop-first") {
      stoppedFirst.add(plan.name);
      try {
        forget(old);
        await retire(old, reason);
        // When the new one does not start the old configuration is started again: it worked until a moment ago.
        const next = startComponent(plan, config, options);
        add(await next.catch(() => startComponent(old.plan, old.config, options)));
        await next;
      } finally {
        stoppedFirst.delete(plan.name);
      }
    } else {
      add(await startComponent(plan, config, options));
      // Its calls finish in their own time; nothing waits for them.
      void retire(old, reason);
    }
    logger.info({ component: plan.name, type: plan.definition.type }, `component "${plan.name}" was replaced`);
  };

  /** Resolves and brings components that do not depend on each other; the problems are told together. */
  const bringAll = async (plans: readonly ComponentPlan[]): Promise<Problem[]> => {
    const signal = new AbortController().signal;
    const sources = {
      environment: options.environment,
      secretStore: (name: string): SecretStore | undefined => running.get(name)?.component.blocks.secret,
      signal,
    };
    const resolved = await Promise.all(plans.map((plan) => resolveConfig(plan, sources)));
    const problems = resolved.flatMap((result) => result.problems);
    if (problems.length > 0) return problems;
    const outcomes = await Promise.allSettled(plans.map((plan, index) => bring(plan, resolved[index]?.config)));
    return outcomes.flatMap((outcome, index) => {
      const plan = plans[index];
      if (outcome.status === "fulfilled" || plan === undefined) return [];
      return [
        problemOf(plan, outcome.reason instanceof Error ? outcome.reason.message : String(outcome.reason), [
          "metadata",
          "name",
        ]),
      ];
    });
  };

  const defaultOf = (block: BlockName) => [...running.values()].find(({ plan }) => plan.defaults.includes(block));

  return {
    async apply(plan) {
      const initial = phase === "starting";
      const problems: Problem[] = [];
      for (const group of inOrder(plan.components)) {
        problems.push(...(await bringAll(group)));
        if (problems.length > 0) break;
      }
      if (initial && problems.length > 0) throw new ConfigurationError(problems);
      const wanted = new Set(plan.components.map(({ name }) => name));
      for (const live of [...running.values()]) {
        if (wanted.has(live.plan.name) || problems.length > 0) continue;
        forget(live);
        void retire(live, `component "${live.plan.name}" was removed`);
        logger.info({ component: live.plan.name }, `component "${live.plan.name}" was removed`);
      }
      phase = phase === "closed" ? "closed" : "running";
      return problems;
    },
    use(block, name) {
      const binding = bindings[block].get(name);
      if (binding !== undefined) return binding;
      const live = name === "" ? defaultOf(block) : running.get(name);
      throw whyNot({ block, name, appId, live, bindings, stoppedFirst, closed: phase === "closed" });
    },
    bindings: (block) => [...bindings[block]].flatMap(([name, binding]) => (name === "" ? [] : [binding])),
    defaultOf,
    list: () => [...running.values()],
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    endStreams(reason) {
      for (const live of running.values()) live.endStreams(reason);
    },
    async close(timedOut) {
      phase = "closed";
      closing = new Map(running);
      running.clear();
      rebind();
      const [assisted, others] = partition([...closing.values()], ({ plan }) => plan.store !== undefined);
      for (const group of [assisted, others]) {
        await Promise.all([...group.map((live) => retire(live, "the runtime is stopping", timedOut)), ...retiring]);
      }
    },
  };
}

function partition<T>(all: readonly T[], belongs: (one: T) => boolean): [T[], T[]] {
  return [all.filter(belongs), all.filter((one) => !belongs(one))];
}

function isSame(old: LiveComponent, plan: ComponentPlan, config: unknown): boolean {
  return (
    old.plan.definition === plan.definition &&
    old.plan.document.baseDir === plan.document.baseDir &&
    old.plan.store === plan.store &&
    isDeepStrictEqual(old.config, config)
  );
}

/** Groups of components, each after those that it needs. The plan has no circles. */
function inOrder(plans: readonly ComponentPlan[]): ComponentPlan[][] {
  const groups: ComponentPlan[][] = [];
  const done = new Set<string>();
  let left = [...plans];
  while (left.length > 0) {
    const group = left.filter((plan) => dependenciesOf(plan).every((name) => done.has(name)));
    if (group.length === 0) throw new Error("the plan has a circle of components that need each other");
    for (const { name } of group) done.add(name);
    left = left.filter((plan) => !done.has(plan.name));
    groups.push(group);
  }
  return groups;
}

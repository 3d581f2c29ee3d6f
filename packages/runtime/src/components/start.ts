import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import {
  type AssistStore,
  type Clock,
  type Component,
  type ComponentContext,
  type Durability,
  systemClock,
} from "@mecha/component";
import type { BlockName } from "../blocks/registry.js";
import type { ComponentPlan } from "../config/component-plan.js";
import { createComponentLogger, type RuntimeLogger } from "../telemetry/logger.js";
import type { Tracing } from "../telemetry/tracing.js";
import { LiveComponent } from "./live.js";

/** What starting a component takes. */
export interface StartOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
  readonly startTimeoutMs: number;
  /** The store that a component keeps things in, by its plan; undefined for one that needs none. */
  assistStore?(plan: ComponentPlan): AssistStore | undefined;
  /** Shows what components do. Default: nothing does. */
  readonly tracing?: Pick<Tracing, "component"> | undefined;
}

/** Starts one component; rejects with words for a person, naming it. */
export async function startComponent(
  plan: ComponentPlan,
  config: unknown,
  options: StartOptions,
): Promise<LiveComponent> {
  const who = `component "${plan.name}" (${plan.definition.type})`;
  const giveUp = new AbortController();
  // The machine's clock: a start is real whatever the time in a test is.
  const stopTimer = systemClock.after(options.startTimeoutMs, () =>
    giveUp.abort(new Error(`it was not ready within ${options.startTimeoutMs} ms`)),
  );
  const creation = plan.definition.create(config, createContext(plan, options, giveUp.signal));
  let component: Component;
  try {
    component = await Promise.race([creation, rejectOnAbort(giveUp.signal)]);
  } catch (error) {
    // One that becomes ready after all has nobody to serve.
    if (giveUp.signal.aborted) creation.then((late) => late.close()).catch(() => {});
    throw new Error(`${who} did not start: ${error instanceof Error ? error.message : error}`, { cause: error });
  } finally {
    stopTimer();
  }
  const lacking = findLacking(plan, component);
  if (lacking !== undefined) {
    await component.close();
    throw new Error(`${who} ${lacking}`);
  }
  warnAboutDurability(plan, component, options.logger);
  const { tracing } = options;
  if (tracing === undefined) return new LiveComponent(plan, config, component);
  const blocks = tracing.component({ name: plan.name, type: plan.definition.type }, component.blocks);
  return new LiveComponent(plan, config, {
    blocks,
    health: (signal) => component.health(signal),
    close: () => component.close(),
  });
}

/** What a plan asks of a running component and does not get. */
export function findLacking(plan: ComponentPlan, component: Component): string | undefined {
  const missing = plan.blocks.filter((name) => component.blocks[name] === undefined);
  if (missing.length > 0) return `does not serve ${missing.join(", ")} as it is configured`;
  const features = plan.blocks.flatMap((name) => featuresOf(component, name));
  const lacking = plan.requires.filter((feature) => !features.includes(feature));
  if (lacking.length === 0) return undefined;
  return `lacks ${lacking.join(", ")}, which its resource requires; as configured it has: ${features.join(", ") || "none"}`;
}

/** What a running component can do beyond a block's core. */
export function featuresOf(component: Component, name: BlockName): readonly string[] {
  const served = component.blocks[name];
  return served !== undefined && "features" in served ? served.features : [];
}

/** What an answered write to a block survives; undefined for a block that writes nothing. */
export function durabilityOf(component: Component, name: BlockName): Durability | undefined {
  const served = component.blocks[name];
  return served !== undefined && "durability" in served ? served.durability : undefined;
}

const durabilities: readonly Durability[] = ["PROCESS", "HOST", "REPLICATED"];

function warnAboutDurability(plan: ComponentPlan, component: Component, logger: RuntimeLogger): void {
  for (const block of plan.blocks) {
    const durability = durabilityOf(component, block);
    if (durability === undefined) continue;
    if (durabilities.indexOf(durability) >= durabilities.indexOf(plan.acceptDurability)) continue;
    logger.warn(
      { component: plan.name, block, durability },
      `component "${plan.name}" (${plan.definition.type}) keeps what ${block} writes with durability ${durability} only, less than ${plan.acceptDurability}; if that is fine, write acceptDurability: ${durability} in its spec`,
    );
  }
}

function createContext(plan: ComponentPlan, options: StartOptions, signal: AbortSignal): ComponentContext {
  const store = options.assistStore?.(plan);
  return {
    ...(store && { store }),
    name: plan.name,
    baseDir: plan.document.baseDir,
    clock: options.clock,
    logger: createComponentLogger(options.logger, plan.name),
    signal,
    /** Made when a component asks for it: a runtime that keeps nothing on disk leaves no folder behind. */
    get dataDir() {
      ensureDataDir(options.dataDir);
      return options.dataDir;
    },
  };
}

/** Makes the data directory if it is not there. */
export function ensureDataDir(dataDir: string): void {
  try {
    makeFolder(dataDir);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? error;
    throw new Error(
      `data directory ${dataDir} cannot be made (${reason}); choose one that can be written with dataDir (--data-dir)`,
    );
  }
}

/** Not `recursive: true`, which never returns where a file system answers ENOENT for a folder that is there, as /proc does. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeFolder(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another runtime was faster.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

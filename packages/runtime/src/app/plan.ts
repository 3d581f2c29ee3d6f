import { resolve } from "node:path";
import type { ResourceDocument } from "../config/documents.js";
import type { PlanContext, RelationContext } from "../config/kind.js";
import { problemOf, type ResourcePlan } from "../config/resource.js";
import { didYouMean } from "../config/suggest.js";
import { formatPath } from "../config/validate.js";
import type { AppResource, AppSpec, ProbeSpec } from "./resource.js";
import { splitWords } from "./words.js";

/** An app as its resource wants it. */
export interface AppPlan extends ResourcePlan, Omit<AppSpec, "appId" | "command" | "dir" | "probes"> {
  readonly kind: "App";
  readonly appId: string;
  /** Program and arguments; undefined: nothing starts it. */
  readonly command: readonly string[] | undefined;
  /** Absolute. */
  readonly dir: string;
  readonly probes: AppProbes;
}

/** How an app is asked how it is. */
export interface AppProbes {
  readonly startup?: ProbePlan;
  readonly readiness?: ProbePlan;
  readonly liveness?: ProbePlan;
}

/** One probe. */
export interface ProbePlan {
  readonly ask: Question;
  readonly intervalMs: number;
  /** The interval while it is not well. Default: `intervalMs`. */
  readonly waitingIntervalMs?: number;
  readonly timeoutMs: number;
  /** In a row, until it is believed. */
  readonly failures: number;
  readonly successes: number;
}

/** What is asked. */
export type Question =
  | { readonly type: "http"; readonly path: string }
  | { readonly type: "grpc"; readonly service: string }
  | { readonly type: "tcp" }
  | { readonly type: "command"; readonly command: readonly string[]; readonly dir: string };

/** Tells apps from what else is planned. */
export function isApp(plan: ResourcePlan): plan is AppPlan {
  return plan.kind === "App";
}

/** Plans one document. */
export async function planApp(
  { metadata, spec }: AppResource,
  document: ResourceDocument,
  { problems }: PlanContext,
): Promise<AppPlan> {
  const { appId = metadata.name, command, dir = ".", probes: asked, ...rest } = spec;
  const add = (message: string, ...path: PropertyKey[]) => problems.push(problemOf(base, message, ["spec", ...path]));
  const folder = resolve(document.baseDir, dir);
  const base = { kind: "App" as const, name: metadata.name, document };
  const toWords = (text: string | readonly string[], ...path: PropertyKey[]): readonly string[] => {
    if (typeof text !== "string") return text;
    try {
      const words = splitWords(text);
      if (words.length === 0) add(`"${formatPath(["spec", ...path])}" is empty`, ...path);
      return words;
    } catch (error) {
      add(
        `"${formatPath(["spec", ...path])}" is no command: ${error instanceof Error ? error.message : error}`,
        ...path,
      );
      return [];
    }
  };
  const planProbe = (name: keyof AppProbes): ProbePlan | undefined => {
    const probe = asked[name];
    if (probe === undefined) return undefined;
    const questions = questionsOf(probe, (text) => ({
      command: toWords(text, "probes", name, "command"),
      dir: folder,
    }));
    const [ask, ...more] = questions;
    if (ask === undefined || more.length > 0) {
      add(`"spec.probes.${name}" needs one of http, grpc, tcp and command: say how the app is asked`, "probes", name);
      return undefined;
    }
    if (ask.type !== "command" && spec.port === undefined) {
      add(`"spec.probes.${name}" asks the app over its port: say spec.port`, "probes", name);
    }
    const { interval = name === "startup" ? 500 : 5_000, timeout, failures, successes } = probe;
    return { ask, intervalMs: interval, timeoutMs: timeout, failures, successes };
  };
  const [startup, readiness, liveness] = [planProbe("startup"), planProbe("readiness"), planProbe("liveness")];
  if (rest.restart.maxBackoff < rest.restart.minBackoff) {
    add('"restart.maxBackoff" is less than "restart.minBackoff"', "restart", "maxBackoff");
  }
  return {
    ...base,
    ...rest,
    appId,
    command: command === undefined ? undefined : toWords(command, "command"),
    dir: folder,
    probes: {
      ...(startup !== undefined && { startup }),
      ...(readiness !== undefined && { readiness }),
      ...(liveness !== undefined && { liveness }),
    },
  };
}

function questionsOf(
  { http, grpc, tcp, command }: ProbeSpec,
  toCommand: (text: string | readonly string[]) => { command: readonly string[]; dir: string },
): Question[] {
  return [
    ...(http === undefined ? [] : [{ type: "http" as const, path: http }]),
    ...(grpc === undefined ? [] : [{ type: "grpc" as const, service: grpc }]),
    ...(tcp === undefined ? [] : [{ type: "tcp" as const }]),
    ...(command === undefined ? [] : [{ type: "command" as const, ...toCommand(command) }]),
  ];
}

/** Requires the Apps that others wait for, and no circle of them. */
export function relateApps(apps: readonly AppPlan[], { problems }: RelationContext): void {
  const names = apps.map(({ name }) => name);
  for (const app of apps) {
    for (const [index, name] of app.dependsOn.entries()) {
      if (names.includes(name)) continue;
      const hint = didYouMean(name, names) || `; there are: ${names.join(", ")}`;
      problems.push(problemOf(app, `there is no App "${name}"${hint}`, ["spec", "dependsOn", index]));
    }
    const circle = findCircle(app, apps);
    if (circle !== undefined) {
      problems.push(
        problemOf(app, `Apps wait for one another in a circle: ${circle.join(" → ")}`, ["spec", "dependsOn"]),
      );
    }
  }
}

/** The names of a way from `app` back to it. */
function findCircle(app: AppPlan, apps: readonly AppPlan[]): string[] | undefined {
  const seen = new Set<string>();
  const visit = (at: AppPlan, way: readonly string[]): string[] | undefined => {
    for (const name of at.dependsOn) {
      if (name === app.name) return [...way, name];
      if (seen.has(name)) continue;
      seen.add(name);
      const next = apps.find((candidate) => candidate.name === name);
      const found = next === undefined ? undefined : visit(next, [...way, name]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return visit(app, [app.name]);
}

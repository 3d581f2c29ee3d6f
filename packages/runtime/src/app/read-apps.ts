import { createDefinitionLookup } from "../components/definitions.js";
import { planResources } from "../config/plan.js";
import type { Problem } from "../config/problem.js";
import { problemOf } from "../config/resource.js";
import { type RuntimeOptions, resolveRuntimeOptions } from "../options.js";
import { type AppPlan, isApp } from "./plan.js";

/** An App of the resources, as `mecha up` starts it. */
export interface AppDescription
  extends Pick<
    AppPlan,
    | "name"
    | "appId"
    | "command"
    | "dir"
    | "port"
    | "version"
    | "zone"
    | "weight"
    | "runtimePort"
    | "restart"
    | "watch"
    | "dependsOn"
  > {
  /** Its references resolved. */
  readonly env: Readonly<Record<string, string>>;
  /** File and line. */
  readonly source: string;
}

/** Options of {@link readApps}. */
export type ReadAppsOptions = Pick<
  RuntimeOptions,
  "resources" | "components" | "resolveComponent" | "knownComponentTypes" | "environment"
>;

/** Reads the Apps of resources, in their order, and everything that is wrong with the resources, whatever their kind. Starts nothing. */
export async function readApps(
  options: ReadAppsOptions = {},
): Promise<{ readonly apps: readonly AppDescription[]; readonly problems: readonly Problem[] }> {
  const settings = await resolveRuntimeOptions(options);
  const plan = await planResources({ ...settings, definitions: createDefinitionLookup(settings) });
  const problems = [...plan.problems];
  const apps = plan.others.filter(isApp).map((app) => ({
    ...pick(app),
    env: resolveEnv(app, settings.environment, problems),
    source: app.document.sourceOf([]),
  }));
  return { apps, problems };
}

function pick(app: AppPlan): Omit<AppDescription, "env" | "source"> {
  const { name, appId, command, dir, port, version, zone, weight, runtimePort, restart, watch, dependsOn } = app;
  return { name, appId, command, dir, port, version, zone, weight, runtimePort, restart, watch, dependsOn };
}

function resolveEnv(
  app: AppPlan,
  environment: Readonly<Record<string, string | undefined>>,
  problems: Problem[],
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, given] of Object.entries(app.env)) {
    const value = typeof given === "string" ? given : environment[given.$env];
    if (value !== undefined) env[name] = value;
    else {
      const missing = typeof given === "string" ? name : given.$env;
      const message = `environment variable ${missing} is not set; set it, or write the value here`;
      problems.push(problemOf(app, message, ["spec", "env", name]));
    }
  }
  return env;
}

import { stat } from "node:fs/promises";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { type AppDescription, ConfigurationError, type Problem, readApps } from "@mecha/runtime";
import { componentTypes, loadComponent } from "../components.js";
import { CliError, exitCodes } from "../errors.js";

/** An app that `mecha up` starts. */
export interface PlannedApp extends Omit<AppDescription, "command" | "port" | "watch"> {
  command: string;
  args: readonly string[];
  /** Where it listens; undefined: nowhere. */
  port: number | undefined;
  /** Absolute. */
  watch: readonly string[];
}

/** What to start. */
export interface PlanOptions {
  /** Files, or folders with them; undefined: `mecha.yaml` and `mecha/`, as far as they are there. */
  files: readonly string[] | undefined;
  /** The names of the Apps to start; undefined: all. */
  only: readonly string[] | undefined;
}

/** Reads the Apps, and finds ports for those that take any. Rejects with everything that is wrong. */
export async function planApps({ files, only }: PlanOptions): Promise<PlannedApp[]> {
  const { apps, problems } = await readApps({
    ...(files !== undefined && { resources: files }),
    resolveComponent: loadComponent,
    knownComponentTypes: componentTypes,
  });
  const where = files?.join(", ") ?? "mecha.yaml and mecha/";
  if (apps.length === 0 && problems.length === 0) {
    throw new CliError(
      `there is no App in ${where}: what is started is described by resources of kind App (mecha up --help has one)`,
      exitCodes.usage,
    );
  }
  const chosen = choose(apps, only, problems.length === 0);
  const found = [...problems, ...findClashes(chosen), ...(await findMissingFolders(chosen))];
  if (found.length > 0) throw new ConfigurationError(found);
  const ports = await freePorts(chosen.filter(({ port }) => port === "auto").length);
  return chosen.flatMap(({ command: [command, ...args] = [], port, env, watch, ...app }) => {
    if (command === undefined) return [];
    const own = port === "auto" ? ports.pop() : port;
    return {
      ...app,
      command,
      args,
      port: own,
      env: { ...(port === "auto" && { PORT: String(own) }), ...env },
      watch: watch.map((path) => resolve(app.dir, path)),
    };
  });
}

/** Those that were asked for by name, or all that can be started. */
function choose(
  apps: readonly AppDescription[],
  only: readonly string[] | undefined,
  complete: boolean,
): readonly AppDescription[] {
  const startable = apps.filter(({ command }) => command !== undefined);
  const names = startable.map(({ name }) => name);
  // Where the files could not be read in whole, what is missing may be there.
  if (complete && only === undefined && names.length === 0) {
    throw new CliError("no App has a command: say spec.command, or start them by mecha run", exitCodes.usage);
  }
  if (only === undefined) return startable;
  const unknown = only.filter((name) => !names.includes(name));
  if (complete && unknown.length > 0) {
    throw new CliError(
      `--only: there is no App ${unknown.map((name) => `"${name}"`).join(", ")} with a command; there are: ${names.join(", ")}`,
      exitCodes.usage,
    );
  }
  return startable.filter(({ name }) => only.includes(name));
}

/** Ports that two want, or one for two things. */
function findClashes(apps: readonly AppDescription[]): Problem[] {
  const holders = new Map<number, string>();
  return apps.flatMap(({ name, source, port, runtimePort }) =>
    [
      { port, what: "port" },
      { port: runtimePort, what: "runtimePort" },
    ].flatMap(({ port, what }): Problem[] => {
      if (port === undefined || port === "auto") return [];
      const holder = holders.get(port);
      const own = `"spec.${what}" of App "${name}"`;
      if (holder === undefined) holders.set(port, own);
      const message = `${own} is ${port}, and so is ${holder}; give one of them another`;
      return holder === undefined ? [] : [{ source, resource: `App/${name}`, message }];
    }),
  );
}

async function findMissingFolders(apps: readonly AppDescription[]): Promise<Problem[]> {
  const problems = apps.map(async ({ name, source, dir }): Promise<Problem[]> => {
    const isFolder = await stat(dir).then(
      (found) => found.isDirectory(),
      () => false,
    );
    const message = `"spec.dir" of App "${name}" is no folder: ${dir}`;
    return isFolder ? [] : [{ source, resource: `App/${name}`, message }];
  });
  return (await Promise.all(problems)).flat();
}

/** Ports that nobody listens on: held all at once, so that none is given twice, and let go again. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const listening = servers.map(
    (server) =>
      new Promise<number>((resolve, reject) => {
        server.once("error", reject).listen({ host: "127.0.0.1", port: 0 }, () => {
          const address = server.address();
          resolve(typeof address === "object" && address !== null ? address.port : 0);
        });
      }),
  );
  const ports = await Promise.all(listening);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

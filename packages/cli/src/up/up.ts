import { resolve } from "node:path";
import { exitCodes } from "../errors.js";
import { runGroup } from "../run/group.js";
import { appColor, createJsonLog, createSharedLogs, type JsonLine } from "../run/log.js";
import { createMember, type Member } from "../run/member.js";
import { defaultHost, type LogLevel, type RuntimeSettings } from "../settings.js";
import { printJson } from "../terminal/print.js";
import { formatTable } from "../terminal/table.js";
import { type PlannedApp, planApps } from "./plan.js";

/** What `mecha up` does. */
export interface UpOptions {
  files: readonly string[] | undefined;
  only: readonly string[] | undefined;
  namespace: string;
  dataDir: string;
  /** Of the runtimes. */
  logLevel: LogLevel;
  accessLog: boolean;
  json: boolean;
}

/** Runs the Apps of the resources, each beside a runtime of its own, until all have ended; resolves with what to exit with. */
export async function up(options: UpOptions): Promise<number> {
  const apps = await planApps(options);
  const shared = options.json ? undefined : createSharedLogs(apps.map(({ name }) => name));
  const entries = apps.map((app) => {
    const { name, command, args, dir, env, watch, dependsOn } = app;
    const { policy, minBackoff, maxBackoff, resetAfter } = app.restart;
    const member = createMember({
      name,
      settings: toSettings(app, options),
      portIsChosen: app.runtimePort !== undefined,
      command,
      args,
      dir,
      env,
      restart: { policy, minBackoffMs: minBackoff, maxBackoffMs: maxBackoff, resetAfterMs: resetAfter },
      watch,
      log: shared?.get(name) ?? createJsonLog(name),
    });
    return { app, member, dependsOn };
  });
  const ends = await runGroup(entries, {
    onStart() {
      tellWhatRuns(entries, options.json);
      for (const { app, member } of entries) if (app.port !== undefined) void tellWhenReady(member);
    },
    onEnd(member, { failed, how }) {
      member.log.say(failed ? `failed for good (${how})` : `ended (${how})`);
    },
  });
  return ends.some(({ failed }) => failed) ? exitCodes.failed : exitCodes.ok;
}

/** What the runtime beside an app is started with. */
function toSettings(app: PlannedApp, { files, namespace, dataDir, logLevel, accessLog }: UpOptions): RuntimeSettings {
  return {
    appId: app.appId,
    appName: app.name,
    namespace,
    listen: { host: defaultHost, port: app.runtimePort ?? 0 },
    dataDir: resolve(dataDir),
    resources: files === undefined ? undefined : [...files],
    logLevel,
    allowedOrigins: [],
    appPort: app.port,
    accessLog,
    mesh: { host: defaultHost, port: 0, version: app.version, zone: app.zone, weight: app.weight },
  };
}

/** What runs where, before any app has said a word. */
function tellWhatRuns(entries: readonly { app: PlannedApp; member: Member }[], json: boolean): void {
  if (json) {
    for (const { app, member } of entries) {
      const { name, appId, port } = app;
      const line = `runs beside a runtime at ${member.endpoint}`;
      const words = { app: name, stream: "mecha", line } satisfies JsonLine;
      void printJson({ ...words, appId, ...(port !== undefined && { port }), endpoint: member.endpoint });
    }
    return;
  }
  const rows = entries.map(({ app, member }, index) => [
    appColor(index)(app.name),
    app.appId,
    app.port === undefined ? "-" : String(app.port),
    member.endpoint ?? "-",
    [app.command, ...app.args].join(" "),
  ]);
  process.stdout.write(`${formatTable(["APP", "APP ID", "PORT", "RUNTIME", "COMMAND"], rows)}\n\n`);
}

async function tellWhenReady(member: Member): Promise<void> {
  if ((await member.ready()) && !member.draining) member.log.say("ready");
}

import type { RuntimeSettings } from "../settings.js";
import { runGroup } from "./group.js";
import { createPlainLog, createTerminalLog } from "./log.js";
import { createMember } from "./member.js";
import type { RestartOptions } from "./restart.js";

/** What `mecha run` does. */
export interface RunOptions {
  settings: RuntimeSettings;
  command: string;
  args: string[];
  /** Whether the port was asked for by name: then a busy one is an error, else another is taken. */
  portIsChosen: boolean;
  restart: RestartOptions;
  /** The files and folders whose change starts the app anew; absolute. */
  watch: readonly string[];
}

/** Runs the app beside a runtime of its own until the app ends for good; resolves with the app's exit code. */
export async function run({ settings, ...options }: RunOptions): Promise<number> {
  const name = settings.appId;
  const log = process.stdout.isTTY === true ? createTerminalLog(name) : createPlainLog(name);
  const [end] = await runGroup([{ member: createMember({ name, settings, log, ...options }), dependsOn: [] }]);
  if (end?.error !== undefined) throw end.error;
  return end?.code ?? 0;
}

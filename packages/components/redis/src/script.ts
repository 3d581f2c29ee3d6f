import { createHash } from "node:crypto";
import type { Argument } from "./command.js";

/** A Lua script: one atomic step on the server. All of its keys are in one hash slot. */
export interface Script {
  readonly source: string;
  readonly sha1: string;
  /** Whether it may change something. */
  readonly write: boolean;
}

/** Defines a script; a reading one is run so that Redis refuses any write in it. */
export function defineScript(source: string, { write }: { write: boolean }): Script {
  return { source, sha1: createHash("sha1").update(source).digest("hex"), write };
}

/** The command that runs a script: one that the server knows, or is taught by it. */
export function scriptCommand(
  script: Script,
  known: boolean,
  keys: readonly string[],
  args: readonly Argument[],
): Argument[] {
  const name = known ? "EVALSHA" : "EVAL";
  const text = known ? script.sha1 : script.source;
  return [script.write ? name : `${name}_RO`, text, String(keys.length), ...keys, ...args];
}

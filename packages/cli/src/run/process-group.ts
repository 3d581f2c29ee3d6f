import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

/** How long what is asked to end may take before it is killed, in ms. */
export const graceMs = 30_000;

const pollMs = 25;

/** Signals a process group. Returns whether there is one; one that is gone already (EPERM where only zombies are left, on macOS) is no error. */
export function signalGroup(groupId: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-groupId, signal);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
    return false;
  }
}

/** Asks all that is left of a process group to end, kills what does not within the grace, and resolves when it is gone. */
export async function endGroup(groupId: number): Promise<void> {
  signalGroup(groupId, "SIGTERM");
  const deadline = Date.now() + graceMs;
  while (await isGroupAlive(groupId)) {
    if (Date.now() > deadline) return void signalGroup(groupId, "SIGKILL");
    await delay(pollMs);
  }
}

/** proc(5): `pid (name) state parent group …`; the name may have spaces and brackets. */
async function isGroupAlive(groupId: number): Promise<boolean> {
  if (!signalGroup(groupId, 0)) return false;
  if (process.platform !== "linux") return true;
  // A zombie takes signals too, and where we are process 1 nobody may ever reap it.
  for (const entry of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(group) === groupId && state !== "Z") return true;
  }
  return false;
}

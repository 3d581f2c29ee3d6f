import { readdirSync, readFileSync } from "node:fs";

/** The CPU that processes have used, with what they started and what of that has ended, in µs. Linux only. */
export function cpuMicros(...pids: readonly number[]): number {
  const children = new Map<number, number[]>();
  const ticks = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    const stat = /^\d+$/.test(entry) ? read(`/proc/${entry}/stat`) : undefined;
    if (stat === undefined) continue;
    // proc(5): behind the name, which may contain anything, come state, parent …, utime, stime, and both of children that ended.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [pid, parent] = [Number(entry), Number(fields[1])];
    children.set(parent, [...(children.get(parent) ?? []), pid]);
    ticks.set(
      pid,
      fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0),
    );
  }
  const sum = (pid: number): number =>
    (children.get(pid) ?? []).reduce((total, child) => total + sum(child), ticks.get(pid) ?? 0);
  // A tick is 10 ms on every Linux that Node runs on.
  return pids.reduce((total, pid) => total + sum(pid), 0) * 10_000;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return; // It ended meanwhile.
  }
}

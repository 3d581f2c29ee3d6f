import { existsSync, readFileSync } from "node:fs";

/** What a process holds, from /proc; 0 where there is none. */
export function residentMemoryMiB(pid: number): number {
  if (!existsSync(`/proc/${pid}/status`)) return 0;
  const [, kiB = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kiB) / 1024;
}

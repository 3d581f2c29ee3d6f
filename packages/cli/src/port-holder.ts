import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import { promisify } from "node:util";

/** The process that listens on a port. */
export interface PortHolder {
  processId: number;
  /** Its command line, cut to what fits in a message. */
  command: string;
}

const maxCommandLength = 80;

/** Who listens on a TCP port of this machine; undefined where the system does not tell (another user's process, no /proc and no lsof). */
export async function findPortHolder(port: number): Promise<PortHolder | undefined> {
  return process.platform === "linux" ? await findInProc(port) : await findWithLsof(port);
}

/** "process 4711 (node server.js)", or words that say how to find out. */
export async function describePortHolder(port: number): Promise<string> {
  const holder = await findPortHolder(port);
  if (holder === undefined) return `another process (sudo lsof -i :${port} tells which)`;
  return `process ${holder.processId} (${holder.command})`;
}

/** proc(5): /proc/net/tcp tells the inode of the listening socket, and /proc/<pid>/fd who has it open. */
async function findInProc(port: number): Promise<PortHolder | undefined> {
  const inodes = new Set<string>();
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of (await readFile(table, "utf8").catch(() => "")).split("\n")) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      const listening = state === "0A";
      if (listening && local?.endsWith(`:${hexPort}`) && inode !== undefined) inodes.add(`socket:[${inode}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const entry of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    for (const descriptor of await readdir(`/proc/${entry}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${entry}/fd/${descriptor}`).catch(() => "");
      if (!inodes.has(target)) continue;
      const command = await readFile(`/proc/${entry}/cmdline`, "utf8").catch(() => "");
      return { processId: Number(entry), command: shorten(command.split("\0").join(" ")) };
    }
  }
  return undefined;
}

async function findWithLsof(port: number): Promise<PortHolder | undefined> {
  const run = promisify(execFile);
  try {
    const { stdout } = await run("lsof", ["-nP", "-t", `-iTCP:${port}`, "-sTCP:LISTEN"]);
    const processId = Number(stdout.trim().split("\n")[0]);
    const { stdout: command } = await run("ps", ["-o", "command=", "-p", String(processId)]);
    return { processId, command: shorten(command) };
  } catch {
    return undefined;
  }
}

function shorten(command: string): string {
  const line = command.trim();
  return line.length > maxCommandLength ? `${line.slice(0, maxCommandLength - 1)}…` : line;
}

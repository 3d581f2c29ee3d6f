// Load from h2load, which has no garbage to collect and costs less CPU than what it measures.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const bodyBytes = 1024;
/** Connections that send one request at a time; each has its own beat, a millisecond behind the one before. */
const connections = 50;

/** One call: when it began, in ms since 1970, and what it took. */
export interface Call {
  readonly atMs: number;
  readonly ms: number;
}

/**
 * Posts 1 KiB so many times a second for a while, whether other requests were answered or not. Those of the first `uncounted` seconds are left out:
 * then all connections are made. The first to begin comes first.
 */
export async function paced(url: string, perSecond: number, seconds: number, uncounted = 0): Promise<Call[]> {
  const folder = await mkdtemp(join(tmpdir(), "mecha-bench-"));
  try {
    const log = join(folder, "log");
    const beat = [`-r1`, `--rate-period=${1_000 / perSecond}ms`, `--rps=${perSecond / connections}`];
    const count = ["-c", `${connections}`, "-n", `${perSecond * seconds}`];
    await h2load(folder, [...count, ...beat, `--log-file=${log}`, url]);
    const requests = (await readFile(log, "utf8")).trim().split("\n");
    const calls = requests.map((line) => {
      const [startMicros = Number.NaN, status, micros = Number.NaN] = line.split("\t").map(Number);
      if (status !== 200) throw new Error(`${url} answered with status ${status}`);
      return { atMs: startMicros / 1000, ms: micros / 1000 };
    });
    const from = Math.min(...calls.map(({ atMs }) => atMs)) + uncounted * 1_000;
    return calls.filter(({ atMs }) => atMs >= from).sort((a, b) => a.atMs - b.atMs);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** As many calls a second as so many callers make, each one after the other. */
export async function throughput(url: string, callers: number, seconds: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "mecha-bench-"));
  try {
    const output = await h2load(folder, ["-c", `${callers}`, "-D", `${seconds}`, url]);
    return Number(/finished in [\d.]+m?s, ([\d.]+) req\/s/.exec(output)?.[1]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function h2load(folder: string, args: string[]): Promise<string> {
  const body = join(folder, "body");
  await writeFile(body, Buffer.alloc(bodyBytes, "x"));
  const { stdout } = await run("h2load", ["--h1", "-t1", "-d", body, ...args]).catch((error) => {
    if (error.code !== "ENOENT") throw error;
    throw new Error("this benchmark needs h2load: apt-get install nghttp2-client");
  });
  if (!/ 0 failed, 0 errored, 0 timeout/.test(stdout)) throw new Error(`h2load did not measure:\n${stdout}`);
  return stdout;
}

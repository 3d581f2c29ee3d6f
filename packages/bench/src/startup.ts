// How soon `mecha serve` is ready and what it holds while idle, as a whole process, beside a Node that does nothing.
//
//   pnpm --filter @mecha/bench startup [--json]      measures, and checks the budget
//
// Linux only: memory is what the kernel says in /proc. Resident memory counts the pages of Node's own binary that happen to be mapped, and
// how many that are depends on the file system's cache (44 or 66 MiB for the same idle Node); the memory of its own is what the process
// asked for. Both are shown, and both for bare Node.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const budget = { readyMs: 300, residentMiB: 90 };
const runs = 11;
/** How long after it is ready a process counts as idle. */
const idleAfterMs = 1500;
const dist = fileURLToPath(new URL("../../cli/dist/", import.meta.url));

interface Sample {
  readyMs: number;
  residentMiB: number;
  ownMiB: number;
}

/** What is started, and which line of its output says that it is ready. */
const subjects = {
  "bare Node": { args: ["--eval", "console.log('ready'); setInterval(() => {}, 60_000)"], ready: /ready/ },
  "mecha serve": {
    args: [join(dist, "mecha.js"), "serve", "--app-id", "bench", "--port", "0"],
    ready: /"msg":"ready"/,
  },
};

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
  const samples = new Map<string, Sample[]>();
  // Taking turns, so that what else the machine does hits all alike. The first turn only warms the disk's cache.
  for (let turn = -1; turn < runs; turn++) {
    for (const [name, { args, ready }] of Object.entries(subjects)) {
      const sample = await measure(args, ready);
      if (turn >= 0) samples.set(name, [...(samples.get(name) ?? []), sample]);
    }
  }
  const results = Object.fromEntries(Array.from(samples, ([name, list]) => [name, medianOf(list)]));
  const bundle = await bundleSize();
  const serve = results["mecha serve"] ?? { readyMs: Infinity, residentMiB: Infinity, ownMiB: Infinity };
  if (values.json) console.log(JSON.stringify({ runs, results, bundle }));
  else {
    console.table(results);
    console.log(
      `bundle: ${bundle.files} files, ${bundle.MiB} MiB; installed from npm: ${bundle.tarballMiB} MiB packed`,
    );
  }
  const problems = [
    ...(serve.readyMs > budget.readyMs ? [`ready after ${serve.readyMs} ms, not ${budget.readyMs}`] : []),
    ...(serve.residentMiB > budget.residentMiB ? [`${serve.residentMiB} MiB resident, not ${budget.residentMiB}`] : []),
  ];
  for (const problem of problems) console.error(`✗ mecha serve: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
}

async function measure(args: string[], ready: RegExp): Promise<Sample> {
  const cwd = await mkdtemp(join(tmpdir(), "mecha-startup-"));
  const started = performance.now();
  const child = spawn(process.execPath, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });
  try {
    await lineThat(child, ready);
    const readyMs = Math.round(performance.now() - started);
    await delay(idleAfterMs);
    return { readyMs, ...(await memoryOf(child)) };
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
    await rm(cwd, { recursive: true, force: true });
  }
}

async function lineThat(child: ChildProcess, pattern: RegExp): Promise<void> {
  if (child.stdout === null) throw new Error("the child has no output");
  for await (const line of createInterface(child.stdout)) if (pattern.test(line)) return;
  throw new Error(`the process ended (${child.exitCode}) before it was ready`);
}

/** proc(5): RssAnon is memory that the process asked for, RssFile pages of files that are mapped. */
async function memoryOf(child: ChildProcess): Promise<Omit<Sample, "readyMs">> {
  const status = await readFile(`/proc/${child.pid}/status`, "utf8");
  const mebibytes = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? Number.NaN) / 1024;
  return { residentMiB: Math.round(mebibytes("VmRSS")), ownMiB: Math.round(mebibytes("RssAnon")) };
}

function medianOf(samples: Sample[]): Sample {
  const median = (field: keyof Sample) =>
    samples.map((sample) => sample[field]).sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
  return { readyMs: median("readyMs"), residentMiB: median("residentMiB"), ownMiB: median("ownMiB") };
}

async function bundleSize(): Promise<{ files: number; MiB: number; tarballMiB: number }> {
  const names = (await readdir(dist)).filter((name) => name.endsWith(".js"));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dist, name))).size));
  const toMiB = (bytes: number) => Number((bytes / 1024 / 1024).toFixed(2));
  const folder = await mkdtemp(join(tmpdir(), "mecha-pack-"));
  try {
    const pack = ["pack", "--json", "--pack-destination", folder];
    const { stdout } = await promisify(execFile)("pnpm", pack, { cwd: join(dist, "..") });
    const { filename } = JSON.parse(stdout) as { filename: string };
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    return { files: names.length, MiB: toMiB(bytes), tarballMiB: toMiB((await stat(filename)).size) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

await main();

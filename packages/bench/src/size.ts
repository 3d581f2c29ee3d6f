// What `npm install @mecha/state` costs an app, against what it would install instead: both from their packages, in one run.
//
//   pnpm --filter @mecha/bench size            measures, checks the budget, writes size.md
//   pnpm --filter @mecha/bench size --check    measures, checks the budget, and that size.md is still true
//
// Needs the npm registry, and what `pnpm build` builds.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const run = promisify(execFile);

const budget = { packages: 8, mebibytes: 8, importRatio: 0.5 };
/** How far the size may drift from the committed one before --check fails: room for a patch release, none for another dependency. */
const sizeTolerance = 0.25;
const peer = { name: "@dapr/dapr", version: "3.18.0" };
const importRuns = 15;

/** The workspace's packages that `@mecha/state` consists of, by their folders. */
const own = { "@mecha/state": "clients/state", "@mecha/client": "client", "@mecha/api": "api", "@mecha/rpc": "rpc" };

interface Footprint {
  packages: number;
  bytes: number;
}

interface ImportCost {
  ms: number;
  residentBytes: number;
}

const table = new URL("../size.md", import.meta.url);

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { check: { type: "boolean", default: false } } });
  const directory = await mkdtemp(join(tmpdir(), "mecha-size-"));
  try {
    const ours = join(directory, "ours");
    const theirs = join(directory, "theirs");
    await install(ours, await packOwn(directory));
    await install(theirs, { dependencies: { [peer.name]: peer.version } });
    const footprints = { ours: await footprintOf(ours), theirs: await footprintOf(theirs) };
    const costs = await importCosts({
      ours: { directory: ours, modules: ["@mecha/state"] },
      // What the first call loads on top: the client's transport.
      loaded: { directory: ours, modules: ["@mecha/state", "@mecha/rpc"] },
      theirs: { directory: theirs, modules: [peer.name] },
    });
    const text = render(footprints, costs);
    console.log(text);
    const problems = [
      ...overBudget(footprints.ours, costs.ours.ms / costs.theirs.ms),
      ...(values.check ? outdated(footprints.ours, await readFile(table, "utf8")) : []),
    ];
    for (const problem of problems) console.error(`✗ ${problem}`);
    if (problems.length > 0) process.exitCode = 1;
    else if (!values.check) {
      await writeFile(table, text);
      await run("pnpm", ["exec", "biome", "format", "--write", fileURLToPath(table)]);
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Packs our packages; npm takes each from its tarball, whoever depends on it. */
async function packOwn(directory: string): Promise<object> {
  const overrides: Record<string, string> = {};
  for (const [name, folder] of Object.entries(own)) {
    const cwd = new URL(`../../${folder}/`, import.meta.url);
    const { stdout } = await run("pnpm", ["pack", "--json", "--pack-destination", directory], { cwd });
    overrides[name] = `file:${(JSON.parse(stdout) as { filename: string }).filename}`;
  }
  return { dependencies: { "@mecha/state": overrides["@mecha/state"] }, overrides };
}

async function install(directory: string, manifest: object): Promise<void> {
  await mkdir(directory);
  await writeFile(join(directory, "package.json"), JSON.stringify({ private: true, ...manifest }));
  await run("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: directory });
}

async function footprintOf(directory: string): Promise<Footprint> {
  const lock = await readFile(join(directory, "node_modules/.package-lock.json"), "utf8");
  const { packages } = JSON.parse(lock) as { packages: object };
  let bytes = 0;
  for (const entry of await readdir(join(directory, "node_modules"), { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return { packages: Object.keys(packages).length, bytes };
}

/** Imports in fresh processes, taking turns, so that what else the machine does hits all alike; the median of each. */
async function importCosts<Name extends string>(
  subjects: Record<Name, { directory: string; modules: string[] }>,
): Promise<Record<Name, ImportCost>> {
  const measured = new Map<string, ImportCost[]>();
  for (let turn = -1; turn < importRuns; turn++) {
    for (const [name, subject] of Object.entries<{ directory: string; modules: string[] }>(subjects)) {
      const cost = await importOnce(subject.directory, subject.modules);
      if (turn >= 0) measured.set(name, [...(measured.get(name) ?? []), cost]); // The first turn only warms the disk's cache.
    }
  }
  const medians = Array.from(measured, ([name, costs]) => [
    name,
    { ms: median(costs.map(({ ms }) => ms)), residentBytes: median(costs.map(({ residentBytes }) => residentBytes)) },
  ]);
  return Object.fromEntries(medians) as Record<Name, ImportCost>;
}

async function importOnce(cwd: string, modules: string[]): Promise<ImportCost> {
  const script = `
    const resident = process.memoryUsage.rss(), start = performance.now();
    for (const module of ${JSON.stringify(modules)}) await import(module);
    console.log(JSON.stringify({ ms: performance.now() - start, residentBytes: process.memoryUsage.rss() - resident }));`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { cwd });
  return JSON.parse(stdout) as ImportCost;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

function render(
  footprints: Record<"ours" | "theirs", Footprint>,
  costs: Record<"ours" | "loaded" | "theirs", ImportCost>,
): string {
  const row = (name: string, installed: Footprint | undefined, { ms, residentBytes }: ImportCost) => {
    const [packages, size] = installed ? [installed.packages, `${mebibytes(installed.bytes)} MiB`] : ["", ""];
    return `| ${name} | ${packages} | ${size} | ${Math.round(ms)} ms | +${mebibytes(residentBytes)} MiB |`;
  };
  return `# What installing a client costs

Written by \`pnpm --filter @mecha/bench size\`: packages and size after \`npm install\` into an empty directory; import time and resident memory over
bare Node ${process.versions.node.split(".")[0]} are medians of ${importRuns} fresh processes taking turns. The times depend on the machine, their ratio hardly does.

| \`npm install\` | packages | size | import | resident |
|---|---|---|---|---|
${row("`@mecha/state`", footprints.ours, costs.ours)}
${row("… and its transport, which the first call loads", undefined, costs.loaded)}
${row(`\`${peer.name}\` ${peer.version}`, footprints.theirs, costs.theirs)}
`;
}

function overBudget({ packages, bytes }: Footprint, importRatio: number): string[] {
  const problems: string[] = [];
  if (packages > budget.packages) problems.push(`${packages} packages, more than ${budget.packages}`);
  if (bytes > budget.mebibytes * 2 ** 20) problems.push(`${mebibytes(bytes)} MiB, more than ${budget.mebibytes}`);
  if (importRatio > budget.importRatio) {
    problems.push(`imports in ${importRatio.toFixed(2)} of the time of ${peer.name}, more than ${budget.importRatio}`);
  }
  return problems;
}

/** Whether the committed table still tells the truth of what the machine does not change. */
function outdated({ packages, bytes }: Footprint, committed: string): string[] {
  const [, committedPackages, committedMebibytes] =
    /^\| `@mecha\/state` +\| +(\d+) +\| +([\d.]+) MiB/m.exec(committed) ?? [];
  const drift = Math.abs(bytes / 2 ** 20 / Number(committedMebibytes) - 1);
  if (packages === Number(committedPackages) && drift <= sizeTolerance) return [];
  return [
    `size.md says ${committedPackages} packages and ${committedMebibytes} MiB, measured are ${packages} and ${mebibytes(bytes)}: write it again with "pnpm --filter @mecha/bench size"`,
  ];
}

await main();

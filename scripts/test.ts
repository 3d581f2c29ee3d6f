// `pnpm test`: everything that CI checks, in one command, what is quick first. Lists at the end what failed, and what was skipped and how to have
// it run.
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync, rmSync, statSync } from "node:fs";

const skippedFile = new URL("../node_modules/.cache/mecha-skipped.txt", import.meta.url);
rmSync(skippedFile, { force: true });

interface Step {
  readonly title: string;
  readonly command: readonly [program: string, ...args: string[]];
  /** Whether nothing after it makes sense if it fails. */
  readonly isBasis?: boolean;
}

const turbo = ["turbo", "run", "--output-logs=new-only", "--log-prefix=task"] as const;

const steps: readonly Step[] = [
  {
    title: "generate and build",
    command: ["turbo", "run", "generate", "build", "--output-logs=errors-only"],
    isBasis: true,
  },
  { title: "lint, format, contracts, imports", command: ["pnpm", "--silent", "run", "lint"] },
  { title: "released contracts are kept", command: ["node", "scripts/breaking.ts"] },
  { title: "types of the scripts", command: ["tsc", "-p", "."] },
  { title: "pages say what the code says", command: ["node", "scripts/docs.ts", "--check"] },
  { title: "types and packages", command: [...turbo, "typecheck", "pkg", "--continue"] },
  // Suites start servers and kill processes: more at a time than there are cores, and they would wait for each other.
  { title: "tests", command: [...turbo, "test", "--continue", "--concurrency=100%"] },
];

/** How many characters of each failed package's report are said again. */
const maxReportLength = 8_000;

const failed: string[] = [];
const begun = performance.now();
const begunAt = Date.now();
for (const { title, command, isBasis } of steps) {
  console.log(`\n▶ ${title}`);
  const start = performance.now();
  const [program, ...args] = command;
  const { status } = spawnSync(program, args, { stdio: "inherit" });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(status === 0 ? `✓ ${title} (${seconds} s)` : `✗ ${title} (${seconds} s)`);
  if (status === 0) continue;
  failed.push(title);
  if (isBasis) break;
}

for (const report of failureReports()) console.log(`\n${report}`);
if (existsSync(skippedFile)) {
  const skipped = [...new Set(readFileSync(skippedFile, "utf8").trim().split("\n"))].toSorted((a, b) =>
    a < b ? -1 : 1,
  );
  console.log(`\nSkipped (${skipped.length}):\n${skipped.map((line) => `  - ${line}`).join("\n")}`);
}
const minutes = ((performance.now() - begun) / 60_000).toFixed(1);
console.log(failed.length === 0 ? `\nAll passed, in ${minutes} min.` : `\nFailed: ${failed.join("; ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;

/** What Vitest said of the tests that failed, once more: by now it is thousands of lines above. */
function failureReports(): string[] {
  const logs = globSync(["packages/**/.turbo/turbo-test.log", "examples/**/.turbo/turbo-test.log"], {
    exclude: (path) => path.endsWith("node_modules"),
  });
  return logs.flatMap((path) => {
    if (statSync(path).mtimeMs < begunAt) return [];
    const log = readFileSync(path, "utf8");
    const start = log.search(/^.*Failed (Suites|Tests) \d+/m);
    return start < 0 ? [] : [`✗ ${path}\n${log.slice(start, start + maxReportLength)}`];
  });
}

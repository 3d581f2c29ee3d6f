// `pnpm test`: everything that CI checks, in one command. Lists at the end what was skipped, and how to have it run.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";

const skippedFile = new URL("../node_modules/.cache/mecha-skipped.txt", import.meta.url);
rmSync(skippedFile, { force: true });

const steps: [title: string, command: string, ...args: string[]][] = [
  [
    "generate, build, types, tests, packages",
    "turbo",
    "run",
    "generate",
    "build",
    "typecheck",
    "test",
    "pkg",
    "--output-logs=new-only",
  ],
  ["pages that say what the code says", "node", "scripts/docs.ts", "--check"],
  ["lint, format, contracts, imports", "pnpm", "--silent", "run", "lint"],
];

const failed: string[] = [];
for (const [title, command, ...args] of steps) {
  console.log(`\n▶ ${title}`);
  const { status } = spawnSync(command, args, { stdio: "inherit" });
  if (status !== 0) failed.push(title);
}

if (existsSync(skippedFile)) {
  const skipped = [...new Set(readFileSync(skippedFile, "utf8").trim().split("\n"))].toSorted((a, b) =>
    a < b ? -1 : 1,
  );
  console.log(`\nSkipped (${skipped.length}):\n${skipped.map((line) => `  - ${line}`).join("\n")}`);
}
console.log(failed.length === 0 ? "\nAll passed." : `\nFailed: ${failed.join("; ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;

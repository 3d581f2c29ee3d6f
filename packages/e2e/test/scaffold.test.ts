import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);
const repository = join(import.meta.dirname, "../../..");

/** A copy of the repository's own files, to scaffold in. */
async function copyRepository(): Promise<string> {
  const copy = mkdtempSync(join(tmpdir(), "mecha-scaffold-"));
  onTestFinished(() => rmSync(copy, { recursive: true, force: true }));
  const { stdout } = await run("git", ["ls-files"], { cwd: repository });
  for (const file of stdout.split("\n").filter((name) => name !== "")) {
    cpSync(join(repository, file), join(copy, file), { recursive: true });
  }
  return copy;
}

const scaffold = (root: string, ...args: string[]) =>
  run(process.execPath, [join(repository, "scripts/new.ts"), ...args, "--root", root]);

test("a new component and a new block are well typed from the start, and never overwrite", async () => {
  const copy = await copyRepository();
  await scaffold(copy, "component", "demo", "A demonstration");
  await scaffold(copy, "block", "lease", "Leases with fencing tokens");
  await expect(scaffold(copy, "component", "demo", "Again")).rejects.toThrow(/exists already.*Nothing was written/s);
  await expect(scaffold(copy, "block", "Not A Name", "x")).rejects.toThrow(/Usage/);

  const inCopy = { cwd: copy, env: { ...process.env, CI: "true" } };
  await run("pnpm", ["install", "--prefer-offline", "--no-frozen-lockfile"], inCopy);
  await run("pnpm", ["exec", "buf", "lint"], inCopy);
  const packages = ["@mecha/component-demo", "@mecha/lease", "@mecha/runtime"].map((name) => `--filter=${name}`);
  await run("pnpm", ["exec", "turbo", "run", "typecheck", "--output-logs=errors-only", ...packages], inCopy);
  await run("pnpm", ["exec", "turbo", "run", "test", "--output-logs=errors-only", "--filter=@mecha/lease"], inCopy);
}, 300_000);

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";

const run = promisify(execFile);
const folder = join(import.meta.dirname, "..");
let dataDir: string;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "mecha-quickstart-"));
});
afterAll(() => rm(dataDir, { recursive: true }));

async function quickstart(): Promise<{ stdout: string; stderr: string }> {
  const command = ["run", "--app-id", "quickstart", "--log-level", "warn", "--data-dir", dataDir, "--port", "0"];
  const app = ["--", process.execPath, "src/quickstart.ts"];
  return await run(join(folder, "node_modules/.bin/mecha"), [...command, ...app], { cwd: folder });
}

it("does every step, and says nothing else", async () => {
  const { stdout, stderr } = await quickstart();
  expect(stdout.match(/^\d\. .*$/gm)).toEqual([
    "1. Set and get",
    "2. Compare and set: two writers, one order",
    "3. A transaction: all of it or nothing",
    "4. List by prefix",
    "5. Watch what changes",
    "6. Items that expire",
    "7. Count how often you ran this",
  ]);
  expect(stdout).toContain("this was the first time");
  expect(stdout).toContain("All of it held");
  expect(stderr).toBe("");
});

it("finds what an earlier run stored", async () => {
  const { stdout } = await quickstart();
  expect(stdout).toContain("this was run 2");
});

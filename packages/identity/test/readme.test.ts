import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "./helpers.js";

test("the README's example is the one that is run, and it enrols", async () => {
  const program = fileURLToPath(new URL("./example/join.ts", import.meta.url));
  const [readme, code] = await Promise.all(
    [new URL("../README.md", import.meta.url), program].map((path) => readFile(path, "utf8")),
  );
  expect(readme).toContain(`\`\`\`ts\n${code}\`\`\``);
  const { stdout } = await promisify(execFile)(process.execPath, [program], { cwd: temporaryFolder() });
  expect(stdout).toMatch(/enrolled until/);
});

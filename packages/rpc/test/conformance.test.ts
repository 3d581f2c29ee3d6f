import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { locate, missing } from "@mecha/test-servers";
import { beforeAll, describe, expect, test } from "vitest";
import { generateConformanceProtos } from "../conformance/protos.js";

// The Connect project's own suite, for the server and the client, with no known failures. Both programs use the built package.
const folder = fileURLToPath(new URL("..", import.meta.url));

describe.skipIf(missing("connectconformance"))("the Connect conformance suite", () => {
  beforeAll(() => {
    generateConformanceProtos();
    const { status, stdout } = spawnSync("tsc", ["-p", "conformance"], { cwd: folder, encoding: "utf8" });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });

  test.each(["server", "client"])(
    "the %s passes",
    async (mode) => {
      const { status, output } = await run(mode);
      expect(output.slice(-20_000)).toMatch(/\n[1-9]\d* passed, 0 failed\s*$/);
      expect(status).toBe(0);
    },
    900_000,
  );
});

function run(mode: string): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const program = `conformance/${mode}.ts`;
    const args = [
      "--mode",
      mode,
      "--conf",
      "conformance/config.yaml",
      // The servers under test; clients are given their cases one by one.
      ...(mode === "server" ? ["--parallel", "4"] : []),
      "--",
      process.execPath,
      program,
    ];
    const child = spawn(locate("connectconformance"), args, { cwd: folder });
    let output = "";
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { find, missing } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const folder = join(import.meta.dirname, "..");

describe.skipIf(missing("python-grpc", "go", "protoc-gen-go", "protoc-gen-go-grpc"))("polyglot", () => {
  it("does the quickstart in Python and in Go, on generated gRPC clients, against one runtime", {
    timeout: 180_000,
  }, async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "mecha-polyglot-"));
    const tools = (["go", "protoc-gen-go", "protoc-gen-go-grpc"] as const).map((tool) => dirname(find(tool) ?? ""));
    try {
      const command = ["run", "--app-id", "polyglot", "--data-dir", dataDir, "--port", "0", "--", "sh", "run.sh"];
      const { stdout } = await run(join(folder, "node_modules/.bin/mecha"), command, {
        cwd: folder,
        env: { ...process.env, PATH: [...tools, join(folder, "node_modules/.bin"), process.env.PATH].join(":") },
      });
      const steps = [
        "set and get",
        "compare-and-set conflict and retry",
        "a transaction: all or nothing",
        "list",
        "watch, and items that expire",
      ];
      for (const language of ["python", "go"]) {
        expect(stdout.split("\n").filter((line) => line.startsWith(`${language}: `))).toEqual(
          steps.map((step) => `${language}: ${step}`),
        );
      }
      expect(stdout.trim().split("\n").slice(-4)).toEqual(["go-1", "go-2", "py-1", "py-2"]);
    } finally {
      await rm(dataDir, { recursive: true });
    }
  });
});

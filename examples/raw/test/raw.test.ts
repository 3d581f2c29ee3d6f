import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { missing } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const folder = join(import.meta.dirname, "..");

describe.skipIf(missing("curl"))("raw", () => {
  it("does the quickstart with curl and JSON only", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "mecha-raw-"));
    try {
      const command = ["run", "--app-id", "raw", "--data-dir", dataDir, "--port", "0", "--", "sh", "quickstart.sh"];
      const { stdout } = await run(join(folder, "node_modules/.bin/mecha"), command, { cwd: folder });
      expect(stdout.match(/✓/g)).toHaveLength(12);
      expect(stdout).toMatch(/All of it held\.\n$/);
    } finally {
      await rm(dataDir, { recursive: true });
    }
  });
});

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { missing, startNats, startPostgres } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);
const folder = join(import.meta.dirname, "..");

async function tell(resources: string[], env: Record<string, string>): Promise<void> {
  const { stdout } = await run(process.execPath, ["src/story/orders.ts", ...resources], {
    cwd: folder,
    env: { ...process.env, ...env },
  });
  expect(stdout.match(/^\d\. .*$/gm)).toEqual([
    "1. An order goes through: intake, payment, mail",
    "2. The order and its event are one transaction",
    "3. What cannot be handled waits for somebody, and nobody waits for it",
    "4. It is repaired and delivered again",
    "5. The payment app is killed while orders come in",
  ]);
  expect(stdout).toContain("All of it held");
}

describe("the story of the orders", { timeout: 120_000 }, () => {
  it("holds on the embedded default", () => tell([], {}));

  it.skipIf(missing("nats", "postgres"))("holds on NATS and PostgreSQL, with another YAML", async () => {
    await using nats = await startNats();
    await using postgres = await startPostgres();
    const env = { NATS_URL: nats.url, POSTGRES_URL: postgres.url };
    await tell(["resources/nats-and-postgres.yaml"], env);
  });
});

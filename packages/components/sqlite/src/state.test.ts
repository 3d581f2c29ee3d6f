import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createManualClock, type StateHarness, startComponent, stateConformance } from "@mecha/component/conformance";
import { afterAll, describe, expect, test, vi } from "vitest";
import { startRemoteProcess } from "../test/remote-component.ts";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { sqlite } from "./index.js";
import { deletionLimits } from "./state-jobs.js";

const promises = {
  features: ["TRANSACT", "WATCH", "TTL", "OUTBOX"],
  pubsubFeatures: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
  durability: "HOST",
  shared: true,
} as const;

function conformance(name: string, harness: StateHarness): void {
  describe(name, () => {
    for (const { name, run } of stateConformance(harness)) test(name, run);
  });
}

const clock = createManualClock();
const dataDir = temporaryFolder();
conformance("conformance, several components in one process", {
  ...promises,
  open: () => startComponent(sqlite, {}, { clock, dataDir }),
  advance: clock.advance,
  async expireResumeTokens() {
    const db = new DatabaseSync(join(dataDir, "mecha.db"), { readOnly: true });
    const one = (sql: string) => Number(Object.values(db.prepare(sql).get() ?? {})[0]);
    const lastDeletion = one("SELECT max(revision) FROM state_deletion");
    clock.advance(deletionLimits.maxAgeMs + 60_000);
    await vi.waitFor(() =>
      expect(one("SELECT value FROM meta WHERE name = 'state_forgotten'")).toBeGreaterThanOrEqual(lastDeletion),
    );
    db.close();
  },
});

const sharedDir = temporaryFolder();
const remote = await startRemoteProcess();
afterAll(() => remote.stop());
let opened = 0;
conformance("conformance, every second component in another process", {
  ...promises,
  open: () => (++opened % 2 === 0 ? remote.open(sharedDir) : startComponent(sqlite, {}, { dataDir: sharedDir })),
});

test("synchronous: normal promises no more than it keeps", async () => {
  const component = await startComponent(sqlite, { synchronous: "normal" }, { dataDir: temporaryFolder() });
  expect(component.blocks.state?.durability).toBe("PROCESS");
  await component.close();
});

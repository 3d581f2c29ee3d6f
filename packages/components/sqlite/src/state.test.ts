import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createManualClock, type StateHarness, startComponent, stateConformance } from "@mecha/component/conformance";
import { describe, expect, test, vi } from "vitest";
import { startRemoteComponent } from "../test/remote-component.ts";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { sqlite } from "./index.js";
import { deletionLimits } from "./state-jobs.js";

const promises = { features: ["TRANSACT", "WATCH", "TTL"], durability: "HOST", shared: true } as const;

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
    clock.advance(deletionLimits.maxAgeMs + 60_000);
    const db = new DatabaseSync(join(dataDir, "mecha.db"), { readOnly: true });
    await vi.waitFor(() => expect(db.prepare("SELECT count(*) AS left FROM state_deletion").get()?.left).toBe(0));
    db.close();
  },
});

const sharedDir = temporaryFolder();
let opened = 0;
conformance("conformance, every second component in another process", {
  ...promises,
  open: () =>
    ++opened % 2 === 0 ? startRemoteComponent(sharedDir) : startComponent(sqlite, {}, { dataDir: sharedDir }),
});

test("synchronous: normal promises no more than it keeps", async () => {
  const component = await startComponent(sqlite, { synchronous: "normal" }, { dataDir: temporaryFolder() });
  expect(component.blocks.state?.durability).toBe("PROCESS");
  await component.close();
});

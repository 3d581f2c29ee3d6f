import { createManualClock, type PubSubHarness, pubsubConformance, startComponent } from "@mecha/component/conformance";
import { afterAll, describe, test } from "vitest";
import { startRemoteProcess } from "../test/remote-component.ts";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { sqlite } from "./index.js";

function conformance(name: string, harness: Pick<PubSubHarness, "open" | "advance">): void {
  const cases = pubsubConformance({
    features: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
    durability: "HOST",
    shared: true,
    holdsBack: "key",
    ...harness,
  });
  describe(name, () => {
    for (const { name, run } of cases) test(name, run);
  });
}

const clock = createManualClock();
const dataDir = temporaryFolder();
conformance("conformance, several components in one process", {
  open: () => startComponent(sqlite, {}, { clock, dataDir }),
  advance: clock.advance,
});

const sharedDir = temporaryFolder();
const remote = await startRemoteProcess();
afterAll(() => remote.stop());
let opened = 0;
conformance("conformance, every second component in another process", {
  open: () => (++opened % 2 === 0 ? remote.open(sharedDir) : startComponent(sqlite, {}, { dataDir: sharedDir })),
});

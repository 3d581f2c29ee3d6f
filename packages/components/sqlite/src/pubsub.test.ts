import { createManualClock, type PubSubHarness, pubsubConformance, startComponent } from "@mecha/component/conformance";
import { describe, test } from "vitest";
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

import { createManualClock, pubsubConformance, startComponent } from "@mecha/component/conformance";
import { describe, test } from "vitest";
import { memory } from "./index.js";

const clock = createManualClock();

const cases = pubsubConformance({
  open: () => startComponent(memory, {}, { clock }),
  features: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
  durability: "PROCESS",
  shared: false,
  holdsBack: "key",
  advance: clock.advance,
});

describe("conformance", () => {
  for (const { name, run } of cases) test(name, run);
});

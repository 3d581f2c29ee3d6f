import { createManualClock, startComponent, stateConformance } from "@mecha/component/conformance";
import { describe, test } from "vitest";
import { expireResumeTokens, history } from "../test/stores.js";
import { memory } from "./index.js";

const clock = createManualClock();

const cases = stateConformance({
  open: () => startComponent(memory, { history }, { clock }),
  features: ["TRANSACT", "WATCH", "TTL", "OUTBOX"],
  pubsubFeatures: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
  durability: "PROCESS",
  shared: false,
  advance: clock.advance,
  expireResumeTokens,
});

describe("conformance", () => {
  for (const { name, run } of cases) test(name, run);
});

import { createManualClock, startComponent, stateConformance } from "@mecha/component/conformance";
import { test } from "vitest";
import { toy } from "./index.js";

const clock = createManualClock();

const cases = stateConformance({
  open: () => startComponent(toy, { maxItems: 10_000 }, { clock }), // the same storage each time, as far as it lasts
  features: [], // what it must declare; cases of other features are left out
  durability: "PROCESS", // from HOST on, a restart must keep everything
  shared: false, // whether components that are open at once see the same data
  advance: clock.advance, // left out where the server's own clock counts
});

for (const { name, run } of cases) test(name, run);

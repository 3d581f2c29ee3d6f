import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createManualClock, startComponent, stateConformance } from "@mecha/component/conformance";
import { afterAll, describe, test } from "vitest";
import { sqlite } from "./index.js";

const dataDir = mkdtempSync(join(tmpdir(), "mecha-sqlite-"));
afterAll(() => rmSync(dataDir, { recursive: true }));

const clock = createManualClock();

const cases = stateConformance({
  open: () => startComponent(sqlite, {}, { clock, dataDir }),
  features: ["TRANSACT", "WATCH", "TTL"],
  durability: "HOST",
  shared: true,
  advance: clock.advance,
});

describe("conformance", () => {
  for (const { name, run } of cases) test(name, run);
});

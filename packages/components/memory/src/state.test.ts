import { createManualClock, startComponent, stateConformance } from "@mecha/component/conformance";
import { describe, test } from "vitest";
import { memory } from "./index.js";

const clock = createManualClock();
const history = 1_000;

const cases = stateConformance({
  open: () => startComponent(memory, { history }, { clock }),
  features: ["TRANSACT", "WATCH", "TTL"],
  durability: "PROCESS",
  shared: false,
  advance: clock.advance,
  async expireResumeTokens({ blocks: { state } }, keyspace) {
    for (let deletions = 0; deletions <= history; deletions++) {
      const key = `filler-${deletions}`;
      const set = {
        type: "set",
        key,
        value: new Uint8Array(),
        contentType: "",
        ttlMs: undefined,
        precondition: undefined,
      } as const;
      await state?.write({ keyspace, requestId: undefined, operations: [set] });
      await state?.write({
        keyspace,
        requestId: undefined,
        operations: [{ type: "delete", key, precondition: undefined }],
      });
    }
  },
});

describe("conformance", () => {
  for (const { name, run } of cases) test(name, run);
});

import { createStateClient, MechaError, type StateClient } from "@mecha/state";
import { describe, expect, test } from "vitest";
import { backends, isMissing } from "../src/backends.ts";
import { serveMecha } from "../src/mecha.ts";
import { residentMemoryMiB } from "../src/memory.ts";

const deadlineMs = 2_000;

describe.each(backends.filter(({ blocks, startServer }) => blocks.includes("state") && startServer !== undefined))(
  "$name",
  (backend) => {
    describe.skipIf(isMissing(backend))("infrastructure that goes away under load", () => {
      test("is an error in time that says when to come back, and no restart is needed when it is there again", async () => {
        await using server = await backend.startServer?.();
        if (server === undefined) throw new Error("the backend has no server");
        await using mecha = await serveMecha({ resources: backend.resources(server) ?? "" });
        await using state = createStateClient({ endpoint: mecha.endpoint, retry: false });
        await state.set("before", 1);

        const residentMiB: number[] = [];
        for (const outage of ["stop", "kill", "kill"] as const) {
          const load = startLoad(state);
          await load.succeeds();
          await server[outage]();
          await load.fails();
          await server.start();
          await load.succeeds();
          await load.stop();
          residentMiB.push(residentMemoryMiB(mecha.pid));
        }
        // Memory is flat: the first outage warms the runtime up, the others add nothing.
        expect(residentMiB.at(-1), `resident MiB: ${residentMiB}`).toBeLessThan((residentMiB[0] ?? 0) + 40);
        expect(await state.get("before")).toMatchObject({ value: 1 });
      }, 120_000);
    });
  },
);

/** Reads and writes all the time; every failure must be one that a caller can act on, within the deadline. */
function startLoad(state: StateClient) {
  const stopping = new AbortController();
  let succeeded = 0;
  let unavailable = 0;
  const callers = Array.from({ length: 16 }, async (_, index) => {
    while (!stopping.signal.aborted) {
      const begun = performance.now();
      try {
        if (index % 2 === 0) await state.get(`key-${index}`, { timeoutMs: deadlineMs });
        else await state.set(`key-${index}`, index, { timeoutMs: deadlineMs });
        succeeded += 1;
      } catch (error) {
        expect(performance.now() - begun).toBeLessThan(deadlineMs + 1_000);
        expect(error).toBeInstanceOf(MechaError);
        const { reason, retryAfter } = error as MechaError;
        expect(["COMPONENT_UNAVAILABLE", "OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"]).toContain(reason);
        if (reason === "COMPONENT_UNAVAILABLE") {
          expect(retryAfter).toBeGreaterThan(0);
          unavailable += 1;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });
  return {
    succeeds: () => moves(() => succeeded, 50, "calls succeed"),
    fails: () => moves(() => unavailable, 20, "calls fail with COMPONENT_UNAVAILABLE"),
    async stop() {
      stopping.abort();
      await Promise.all(callers);
    },
  };
}

/** Waits until a counter has moved on by `by`. */
async function moves(counter: () => number, by: number, what: string): Promise<void> {
  const from = counter();
  for (const deadline = Date.now() + 30_000; counter() < from + by; ) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

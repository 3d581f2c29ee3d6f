import { createStateClient, operation } from "@mecha/state";
import { describe, expect, test } from "vitest";
import { backends, isMissing } from "../src/backends.ts";
import { serveMecha } from "../src/mecha.ts";

const rounds = 20;
const writers = 8;

/** What one writer knows of its pair of keys. */
interface Writer {
  readonly index: number;
  acknowledged: number;
  attempted: number;
}

describe.each(backends.filter(({ blocks }) => blocks.includes("state")))("$name", (backend) => {
  describe.skipIf(isMissing(backend))("a runtime that is killed at any moment", () => {
    test(`loses no acknowledged write and leaves no half transaction, ${rounds} times`, async () => {
      await using server = await backend.startServer?.();
      const resources = backend.resources(server);
      await using mecha = await serveMecha(resources === undefined ? {} : { resources });
      const all = Array.from({ length: writers }, (_, index): Writer => ({ index, acknowledged: 0, attempted: 0 }));
      let acknowledged = 0;

      for (let round = 0; round < rounds; round++) {
        const killed = new AbortController();
        const writing = all.map((writer) => write(mecha.endpoint, writer, killed.signal));
        await until(() => all.some((writer) => writer.acknowledged > acknowledged), "a write is acknowledged");
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
        await mecha.kill("SIGKILL");
        killed.abort();
        await Promise.all(writing);
        await mecha.start();

        await using state = createStateClient({ endpoint: mecha.endpoint });
        for (const writer of all) {
          const [left, right] = await state.getMany<number>([`left-${writer.index}`, `right-${writer.index}`]);
          expect(left?.value, `round ${round}: both halves of a transaction`).toBe(right?.value);
          const stored = left?.value ?? 0;
          expect(stored, `round ${round}: an acknowledged write`).toBeGreaterThanOrEqual(writer.acknowledged);
          expect(stored, `round ${round}: a write that nobody sent`).toBeLessThanOrEqual(writer.attempted);
          writer.acknowledged = stored;
          writer.attempted = stored;
        }
        acknowledged = Math.max(...all.map((writer) => writer.acknowledged));
      }
      expect(acknowledged).toBeGreaterThan(rounds);
    }, 240_000);
  });
});

/** Writes both keys of a writer in one transaction, again and again, until the runtime is gone. */
async function write(endpoint: string, writer: Writer, killed: AbortSignal): Promise<void> {
  await using state = createStateClient({ endpoint, retry: false });
  while (!killed.aborted) {
    writer.attempted += 1;
    try {
      await state.transact([
        operation.set(`left-${writer.index}`, writer.attempted),
        operation.set(`right-${writer.index}`, writer.attempted),
      ]);
      writer.acknowledged = writer.attempted;
    } catch {
      return;
    }
  }
}

/** Polls until something holds. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 20_000; !holds(); ) {
    if (Date.now() > deadline) throw new Error(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

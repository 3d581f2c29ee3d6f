import type { AssistStore, Component } from "@mecha/component";
import { bindingConformance, createManualClock, startComponent } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createReplicas, hourMs, minuteMs } from "../test/replicas.js";
import { cron } from "./index.js";

describe("conformance", () => {
  const clock = createManualClock();
  let storage: Component;
  beforeAll(async () => {
    storage = await startComponent(memory, {}, { clock });
  });
  afterAll(() => storage.close());
  const store: AssistStore = {
    async use(work) {
      const { state } = storage.blocks;
      if (state === undefined) throw new Error("memory serves state");
      return work(state, "default/_assist/tick");
    },
  };
  const cases = bindingConformance({
    open: () => startComponent(cron, { schedule: "0 * * * *" }, { clock, store }),
    features: ["INPUT"],
    advance: clock.advance,
    async trigger(_, keyspace) {
      // A firing counts from when somebody consumes.
      const key = `progress/${keyspace}`;
      while ((await store.use((state, own) => state.get({ keyspace: own, key }))) === undefined)
        await new Promise(setImmediate);
      clock.advance(hourMs);
    },
  });
  for (const { name, run } of cases) test(name, run);
});

describe("a schedule is refused", () => {
  test.each([
    ["0 0 30 2 *", /never fires/], // the 30th of February
    ["0 0 0 1 1 * 2020", /never fires/],
    ["61 * * * *", /minute/],
    ["* * * *", /5 fields/],
    ["nonsense", /5 fields/],
    ["@sometimes", /exactly five|configuration/],
    ["", /5 fields/],
    ["2030-01-01T00:00:00", /5 fields/],
  ])("that is %j", (schedule, reason) => {
    const { success, error } = cron.config.safeParse({ schedule });
    expect(success).toBe(false);
    expect(error?.issues[0]).toMatchObject({ path: ["schedule"], message: expect.stringMatching(reason) });
  });

  test("with a time zone that is none", () => {
    const { error } = cron.config.safeParse({ schedule: "@daily", timeZone: "Mars/Olympus" });
    expect(error?.issues).toMatchObject([{ path: ["timeZone"], message: expect.stringContaining("Europe/Berlin") }]);
  });
});

describe("a firing", () => {
  test("comes at its time, and not before", async () => {
    const { clock, start } = await createReplicas({ schedule: "30 2 * * *", timeZone: "Europe/Berlin" });
    const replica = await start();
    expect(await replica.now()).toBeUndefined();
    clock.advance(89 * minuteMs); // 2:29 in Berlin
    expect(await replica.now()).toBeUndefined();
    const coming = replica.next();
    await new Promise(setImmediate);
    clock.advance(minuteMs);
    expect(await coming).toMatchObject({
      attempt: 1,
      event: { id: "2026-01-01T01:30:00.000Z", metadata: { timeZone: "Europe/Berlin", skipped: "0" } },
    });
  });

  test("is delivered once among all replicas, whoever of them is faster", async () => {
    const { clock, start } = await createReplicas({ schedule: "* * * * *" });
    const replicas = await Promise.all(Array.from({ length: 8 }, start));
    await Promise.all(replicas.map((replica) => replica.now()));
    const fired: string[] = [];
    for (let minute = 0; minute < 20; minute++) {
      clock.advance(minuteMs);
      const leases = await Promise.all(replicas.map((replica) => replica.now()));
      for (const [index, lease] of leases.entries()) {
        if (lease === undefined) continue;
        fired.push(lease.event.id);
        expect(await replicas[index]?.settle("ack", lease)).toBe(true);
      }
    }
    expect(fired).toHaveLength(20);
    expect(new Set(fired).size).toBe(20);
  });

  test("of a replica that died comes to another, its attempt one higher; what the dead one says counts no more", async () => {
    const { clock, start } = await createReplicas({ schedule: "@hourly" });
    const [first, second] = [await start(), await start()];
    await first.now();
    clock.advance(hourMs);
    const lost = await first.now();
    expect(lost?.attempt).toBe(1);
    expect(await second.now()).toBeUndefined();
    clock.advance(30_001);
    const again = await second.now();
    expect(again).toMatchObject({ attempt: 2, event: { id: lost?.event.id } });
    expect(await first.settle("ack", lost)).toBe(false);
    expect(await second.settle("ack", again)).toBe(true);
    expect([await first.now(), await second.now()]).toEqual([undefined, undefined]);
  });

  test("that failed waits for its backoff in every replica", async () => {
    const { clock, start } = await createReplicas({ schedule: "@hourly" });
    const [first, second] = [await start(), await start()];
    await first.now();
    clock.advance(hourMs);
    const lease = await first.now();
    expect(await first.retry(lease, 10_000)).toBe(true);
    expect([await first.now(), await second.now()]).toEqual([undefined, undefined]);
    clock.advance(10_000);
    expect(await second.now()).toMatchObject({ attempt: 2, event: { id: lease?.event.id } });
  });

  test("that a replica hands back as it stops goes at once to another", async () => {
    const { clock, start } = await createReplicas({ schedule: "@hourly" });
    const [first, second] = [await start(), await start()];
    await first.now();
    clock.advance(hourMs);
    const lease = await first.now();
    const waiting = second.next();
    await new Promise(setImmediate);
    await first.source.close();
    clock.advance(1_000);
    expect(await waiting).toMatchObject({ attempt: 1, event: { id: lease?.event.id } });
  });

  test("of another app is another", async () => {
    const { clock, start } = await createReplicas({ schedule: "@hourly" });
    const replica = await start();
    const other = replica.component.blocks.binding?.input?.consume({ keyspace: "default/billing" });
    const call = { maxItems: 1, maxBytes: 1, leaseMs: 1_000, signal: AbortSignal.abort() };
    await replica.now();
    await other?.receive(call);
    clock.advance(hourMs);
    expect([(await replica.now())?.attempt, (await other?.receive(call))?.length]).toEqual([1, 1]);
  });
});

describe("after downtime", () => {
  /** What is delivered when nobody was there for five hours and a half. */
  const caughtUp = async (config: Record<string, unknown>, awayMs = 5.5 * hourMs) => {
    const { clock, start } = await createReplicas({ schedule: "@hourly", ...config });
    const before = await start();
    await before.now();
    await before.component.close();
    clock.advance(awayMs);
    const after = await start();
    const fired: string[] = [];
    for (let lease = await after.now(); lease !== undefined; lease = await after.now()) {
      fired.push(`${lease.event.id.slice(11, 16)} skipped ${lease.event.metadata.skipped}`);
      await after.settle("ack", lease);
    }
    return fired;
  };

  test.each([
    [{ catchUp: "none" }, []],
    [{ catchUp: "last" }, ["05:00 skipped 4"]],
    [
      { catchUp: "all" },
      ["01:00 skipped 0", "02:00 skipped 0", "03:00 skipped 0", "04:00 skipped 0", "05:00 skipped 0"],
    ],
    [{ catchUp: "all", maxCatchUp: 2 }, ["04:00 skipped 3", "05:00 skipped 0"]],
  ])("%j delivers %j", async (config, fired) => {
    expect(await caughtUp(config)).toEqual(fired);
  });

  test("none still delivers what is only a little late", async () => {
    expect(await caughtUp({ catchUp: "none" }, 5 * hourMs + minuteMs)).toEqual(["05:00 skipped 4"]);
    expect(await caughtUp({ catchUp: "none", maxLateMs: 1_000 }, 5 * hourMs + minuteMs)).toEqual([]);
  });

  test("of a year a schedule of seconds is looked at soon", async () => {
    const started = performance.now();
    expect(await caughtUp({ schedule: "* * * * * *" }, 365 * 24 * hourMs)).toEqual(["00:00 skipped 1000"]);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

import type { DeliverySource, Lease, Settlement } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { ack, entryOf, GroupKit, nameOf, pubsubOf, take, takeNow } from "./events.js";

/** A repeatable sequence of numbers from 0 to 1 (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

describe.skipIf(missing("redis"))("random walks through leases that end, retries, releases and dead letters", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "off" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test.each([
    ...[1, 2, 3].map((seed) => ["ordered", seed] as const),
    ...[4, 5, 6].map((seed) => ["unordered", seed] as const),
  ])(
    "%s, seed %i: every event is settled once, and its key's order is kept",
    { timeout: 120_000 },
    async (kind, seed) => {
      const random = createRandom(seed);
      const pick = (limit: number) => Math.floor(random() * limit);
      const components = [
        await startComponent(redis, { url: server.url }),
        await startComponent(redis, { url: server.url }),
      ];
      const [here] = components;
      if (here === undefined) throw new Error("there is no component");
      const isOrdered = kind === "ordered";
      const group = await new GroupKit(pubsubOf(here), `walk-${seed}`).open({ ordered: isOrdered });
      const sources: DeliverySource[] = components.map((component) => pubsubOf(component).consume(group.call));
      const next = new Map<string, number>();
      /** By event, how often an ack or a dead letter of it counted. */
      const settled = new Map<string, number>();
      const started = new Map<string, number>();
      let held: Lease[] = [];
      let published = 0;

      const see = (lease: Lease) => {
        if (!isOrdered || lease.orderingKey === "") return;
        const number = Number(nameOf(lease).split(":")[1]);
        const last = started.get(lease.orderingKey) ?? -1;
        // A first delivery is the next of its key; what was requeued as a dead letter comes behind.
        if (number > last) started.set(lease.orderingKey, number);
        expect(number).toBeLessThanOrEqual(last + 1);
      };
      const settlementOf = ({ handle }: Lease): Settlement => {
        const dice = random();
        if (dice < 0.6) return { type: "ack", handle };
        if (dice < 0.75) return { type: "retry", handle, afterMs: pick(30), error: "again" };
        return dice < 0.85 ? { type: "dead", handle, error: "no" } : { type: "release", handle };
      };
      const settle = async (source: DeliverySource, leases: readonly Lease[]) => {
        const settlements = leases.map(settlementOf);
        const counted = await source.settle(settlements);
        for (const [index, { type }] of settlements.entries()) {
          const lease = leases[index];
          if (lease === undefined || counted[index] !== true || (type !== "ack" && type !== "dead")) continue;
          settled.set(nameOf(lease), (settled.get(nameOf(lease)) ?? 0) + 1);
        }
      };

      for (let step = 0; step < 600; step++) {
        const source = sources[pick(sources.length)] as DeliverySource;
        const dice = random();
        if (dice < 0.3) {
          const entries = Array.from({ length: 1 + pick(8) }, () => {
            const orderingKey = random() < 0.2 ? "" : `key-${pick(5)}`;
            const number = next.get(orderingKey) ?? 0;
            next.set(orderingKey, number + 1);
            return entryOf(group.topic, `${orderingKey}:${number}`, {
              orderingKey,
              delayMs: random() < 0.1 ? pick(20) : 0,
            });
          });
          published += entries.length;
          await group.publish(...entries);
        } else if (dice < 0.7) {
          const leases = await takeNow(source, 1 + pick(12), 1 + pick(25));
          leases.forEach(see);
          held.push(...leases);
        } else if (dice < 0.95) {
          const some = held.filter(() => random() < 0.5);
          held = held.filter((lease) => !some.includes(lease));
          await settle(source, some);
        } else if (dice < 0.98) {
          await source.extend(
            held.slice(0, pick(5)).map(({ handle }) => handle),
            20,
          );
        } else held = held.slice(pick(held.length)); // Forgotten: their leases end.
      }
      const [source] = sources;
      if (source === undefined) throw new Error("there is no source");
      const letters = async () =>
        group.pubsub.listDeadLetters({ ...group.call, after: undefined, limit: 1000, maxBytes: 1e6 });
      const finished = () => settled.size;
      while (finished() < published) {
        const leases = await take(source, 50, 5_000);
        expect(leases.length, `${finished()} of ${published} are settled`).toBeGreaterThan(0);
        leases.forEach(see);
        for (const [index, counted] of (await ack(source, leases)).entries()) {
          const lease = leases[index];
          if (counted && lease !== undefined) settled.set(nameOf(lease), (settled.get(nameOf(lease)) ?? 0) + 1);
        }
      }
      expect(new Set(settled.values())).toEqual(new Set([1]));
      expect(await group.pubsub.backlog(group.call)).toBe(0);
      expect((await letters()).deadLetters.length).toBeGreaterThan(0);
      for (const component of components) await component.close();
    },
  );
});

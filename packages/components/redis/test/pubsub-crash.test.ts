import { ComponentError, type DeliverySource } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { entryOf, GroupKit, nameOf, pubsubOf } from "./events.js";
import { eventually } from "./kit.js";

const rounds = 10;
const keys = ["a", "b", "c", "d", "e", "f", "g", "h"];

/** Publishes numbered events of one key one after the other, each until it is acknowledged, until told to stop. */
async function publishNumbers(group: GroupKit, key: string, isRunning: () => boolean): Promise<number> {
  let number = 0;
  for (; isRunning(); number++) {
    const entry = entryOf(group.topic, `${key}:${number}`, { orderingKey: key });
    while (!(await succeeds(group.publish(entry))));
  }
  return number;
}

/** Whether a call does what it should; what a killed server explains is an answer too. */
async function succeeds(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (!(error instanceof ComponentError)) throw error;
    await new Promise((resolve) => setTimeout(resolve, 5));
    return false;
  }
}

/** Consumes in the background; the numbers of each key in the order of their first delivery. */
function follow(source: DeliverySource, failures: unknown[]) {
  const seen = new Map<string, number[]>(keys.map((key) => [key, []]));
  const stop = new AbortController();
  const call = { maxItems: 20, maxBytes: 1_000_000, leaseMs: 2_000, signal: stop.signal };
  const done = (async () => {
    while (!stop.signal.aborted) {
      await succeeds(
        source.receive(call).then(async (leases) => {
          for (const lease of leases) {
            const [key = "", number] = nameOf(lease).split(":");
            const numbers = seen.get(key);
            if (numbers !== undefined && !numbers.includes(Number(number))) numbers.push(Number(number));
          }
          if (leases.length > 0) await source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
        }),
      );
    }
  })();
  done.catch((error: unknown) => failures.push(error));
  return {
    seen,
    async stop() {
      stop.abort();
      await done;
    },
  };
}

describe.skipIf(missing("redis"))("events under SIGKILL of the server, with AOF always", () => {
  test(`${rounds} times: none that was acknowledged is lost, and the order of each key is kept`, {
    timeout: 240_000,
  }, async () => {
    await using server = await startRedis();
    const here = await startComponent(redis, { url: server.url });
    const there = await startComponent(redis, { url: server.url });
    const ordered = await new GroupKit(pubsubOf(here), "t", "app/ordered").open({ ordered: true });
    const plain = await new GroupKit(pubsubOf(here), "t", "app/plain").open();
    const failures: unknown[] = [];
    const sources = [here, there].flatMap((component) =>
      [ordered, plain].map(({ call }) => pubsubOf(component).consume(call)),
    );
    const following = sources.map((source) => follow(source, failures));
    let running: boolean = true;
    const publishing = Promise.all(keys.map((key) => publishNumbers(ordered, key, () => running)));
    publishing.catch((error: unknown) => failures.push(error));
    const countOf = () => following.reduce((sum, { seen }) => sum + [...seen.values()].flat().length, 0);
    for (let round = 0; round < rounds; round++) {
      const before = countOf();
      await eventually("events come", () => failures.length > 0 || countOf() > before + 100, 30_000);
      expect(failures).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60)); // A random moment to die at.
      await server.kill();
      await server.start();
    }
    running = false;
    const published = await publishing;
    const total = published.reduce((sum, count) => sum + count, 0);
    for (const [name, indexes] of [
      ["ordered", [0, 2]],
      ["plain", [1, 3]],
    ] as const) {
      const numbersOf = (key: string) => indexes.map((index) => following[index]?.seen.get(key) ?? []);
      await eventually(
        `the ${name} group has all ${total}`,
        () => keys.every((key, index) => new Set(numbersOf(key).flat()).size === published[index]),
        30_000,
      );
      if (name === "plain") continue;
      for (const key of keys)
        for (const numbers of numbersOf(key)) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
    await Promise.all(following.map(({ stop }) => stop()));
    expect(failures).toEqual([]);
    await here.close();
    await there.close();
  });
});

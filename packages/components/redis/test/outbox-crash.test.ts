import { ComponentError } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { ack, entryOf, GroupKit, nameOf, pubsubOf, take } from "./events.js";
import { eventually, stateOf, textOf } from "./kit.js";

const rounds = 8;
const keyspace = "default/app";

describe.skipIf(missing("redis"))("the outbox under SIGKILL of the server, with AOF always", () => {
  test(`${rounds} times: an event is there if and only if its transaction is`, { timeout: 120_000 }, async () => {
    await using server = await startRedis();
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    const group = await new GroupKit(pubsubOf(component)).open();
    let running: boolean = true;
    let committed = 0;

    /** Counts a key up, each time with an event that says so, and each time once in vain. */
    const countUp = async (key: string) => {
      while (running) {
        try {
          const item = await state.get({ keyspace, key });
          const next = String(Number(textOf(item?.value)) + 1);
          const holds =
            item === undefined ? ({ type: "absent" } as const) : ({ type: "etag", etag: item.etag } as const);
          const write = async (precondition: typeof holds, name: string) =>
            state.write({
              keyspace,
              operations: [
                { type: "set", key, value: Buffer.from(next), contentType: "", ttlMs: undefined, precondition },
              ],
              publishes: [{ keyspace: "default", entry: entryOf(group.topic, name) }],
              requestId: undefined,
            });
          const refused = await write({ type: "etag", etag: "none" }, `${key}:never`).catch((error: unknown) => error);
          expect(refused).toBeInstanceOf(ComponentError);
          await write(holds, `${key}:${next}`);
          committed += 1;
        } catch (error) {
          if (!(error instanceof ComponentError)) throw error;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    };
    const keys = ["a", "b", "c", "d", "e", "f"];
    const counting = Promise.all(keys.map(countUp));
    for (let round = 0; round < rounds; round++) {
      const before = committed;
      await eventually("transactions are committed", () => committed > before + 20, 20_000);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60)); // A random moment to die at.
      await server.kill();
      await server.start();
    }
    running = false;
    await counting;
    const expected = new Set<string>();
    for (const key of keys) {
      const count = Number(textOf((await state.get({ keyspace, key }))?.value));
      for (let number = 1; number <= count; number++) expected.add(`${key}:${number}`);
    }
    const received = new Set<string>();
    const source = group.consume();
    while ((await group.pubsub.backlog(group.call)) > 0) {
      const leases = await take(source);
      for (const lease of leases) received.add(nameOf(lease));
      await ack(source, leases);
    }
    expect(received).toEqual(expected);
    await component.close();
  });
});

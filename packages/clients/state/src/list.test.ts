import type { Transport } from "@connectrpc/connect";
import type { Runtime } from "@mecha/runtime";
import { beforeEach, expect, expectTypeOf, it } from "vitest";
import { startRuntime } from "../test/runtime.js";
import { createStateClient, type StateClient, type StateEntry, type StateItem } from "./index.js";

let runtime: Runtime;
let state: StateClient;
beforeEach(async () => {
  runtime = await startRuntime();
  state = createStateClient({ transport: runtime.transport });
  await Promise.all([5, 3, 1, 4, 2].map((n) => state.set(`n/${n}`, n)));
  await state.set("other", 0);
  return async () => {
    await state.close();
    await runtime[Symbol.asyncDispose]();
  };
});

it("lists by key, page after page", async () => {
  const items = await Array.fromAsync(state.list<number>({ prefix: "n/", pageSize: 2 }));
  expectTypeOf(items).toEqualTypeOf<StateItem<number>[]>();
  expect(items.map(({ key, value }) => [key, value])).toEqual([1, 2, 3, 4, 5].map((n) => [`n/${n}`, n]));
  expect(await Array.fromAsync(state.list({ prefix: "nothing" }))).toEqual([]);
  expect(await Array.fromAsync(state.list())).toHaveLength(6);
});

it("gives single pages, for callers that keep the token", async () => {
  const list = state.list<number>({ prefix: "n/", pageSize: 3 });
  const first = await list.page();
  expect(first.items.map(({ value }) => value)).toEqual([1, 2, 3]);
  const second = await list.page(first.nextPageToken);
  expect(second).toMatchObject({ items: [{ value: 4 }, { value: 5 }], nextPageToken: undefined });
});

it("asks for no page that nobody reads", async () => {
  let calls = 0;
  const { transport } = runtime;
  const counting: Transport = {
    stream: transport.stream,
    unary(...call) {
      calls++;
      return transport.unary(...call);
    },
  };
  const list = createStateClient({ transport: counting }).list({ prefix: "n/", pageSize: 2 });
  for await (const { key } of list) if (key === "n/2") break;
  expect(calls).toBe(1);
});

it("lists keys without their values", async () => {
  const entries = await Array.fromAsync(state.listKeys({ prefix: "n/" }));
  expectTypeOf(entries).toEqualTypeOf<StateEntry[]>();
  expect(entries.map(({ key }) => key)).toEqual([1, 2, 3, 4, 5].map((n) => `n/${n}`));
  expect(entries[0]).not.toHaveProperty("value");
  expect(entries[0]).toMatchObject({ etag: expect.any(String), contentType: "application/json" });
});

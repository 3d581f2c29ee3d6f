import { create } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";
import { type Item, ItemSchema, StateService } from "@mecha/api/state";
import { expect, it } from "vitest";
import { createStateClient } from "./index.js";

const client = () => {
  const items = new Map<string, Item>();
  const transport = createRouterTransport(({ service }) =>
    service(StateService, {
      get: ({ key }) => {
        const item = items.get(key);
        return item ? { item } : {};
      },
      set: ({ key, value, contentType }) => {
        items.set(key, create(ItemSchema, { key, value, contentType, etag: "1" }));
        return { etag: "1" };
      },
      delete: ({ key }) => ({ existed: items.delete(key) }),
    }),
  );
  return createStateClient({ transport });
};

it("sets, gets and deletes", async () => {
  await using state = client();
  const { etag } = await state.set("order-1", { total: 42 });
  expect(await state.get<{ total: number }>("order-1")).toMatchObject({ key: "order-1", value: { total: 42 }, etag });
  expect(await state.get("order-2")).toBeUndefined();
  expect(await state.delete("order-1")).toEqual({ existed: true });
  expect(await state.delete("order-1")).toEqual({ existed: false });
});

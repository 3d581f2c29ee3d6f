import { createRouterTransport } from "@connectrpc/connect";
import { BindingService, type InvokeRequest } from "@mecha/api/binding";
import { expect, test } from "vitest";
import { createBindingClient } from "./client.js";

test("invoke names the binding and the operation, and values travel by what they are", async () => {
  const asked: InvokeRequest[] = [];
  const transport = createRouterTransport(({ service }) =>
    service(BindingService, {
      invoke(request) {
        asked.push(request);
        return { data: request.data, contentType: request.contentType, metadata: { status: "200" } };
      },
    }),
  );
  const client = createBindingClient({ transport });
  const answer = await client.invoke("api", "post", { total: 42 }, { metadata: { path: "/orders" } });
  expect(answer).toEqual({ data: { total: 42 }, contentType: "application/json", metadata: { status: "200" } });
  expect(asked[0]).toMatchObject({ binding: "api", operation: "post", metadata: { path: "/orders" } });
  expect((await client.invoke("api", "post", new Uint8Array([1]))).data).toEqual(new Uint8Array([1]));
  expect((await client.invoke("api", "get")).data).toBeUndefined();
});

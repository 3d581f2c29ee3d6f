import { createRouterTransport } from "@connectrpc/connect";
import { BindingService, type InvokeRequest } from "@mecha/api/binding";
import { describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { startRuntime, until } from "../test/runtime.js";
import { type BindingEvent, createBindingClient } from "./index.js";

describe("invoke", () => {
  function connect() {
    const asked: InvokeRequest[] = [];
    const transport = createRouterTransport(({ service }) =>
      service(BindingService, {
        invoke(request) {
          asked.push(request);
          return { data: request.data, contentType: request.contentType, metadata: { status: "200" } };
        },
      }),
    );
    return { asked, client: createBindingClient({ transport }) };
  }

  test("names the binding, the operation and its parameters", async () => {
    const { asked, client } = connect();
    const answer = await client.invoke("api", "post", { total: 42 }, { metadata: { path: "/orders" } });
    expect(answer).toEqual({ data: { total: 42 }, contentType: "application/json", metadata: { status: "200" } });
    expect(asked).toMatchObject([{ binding: "api", operation: "post", metadata: { path: "/orders" } }]);
  });

  test.each([
    [{ a: 1 }, "application/json"],
    [[1, 2], "application/json"],
    ["hällo", "text/plain; charset=utf-8"],
    [new Uint8Array([1, 2]), "application/octet-stream"],
    [undefined, ""],
  ])("sends %j by what it is, and reads it by its content type", async (data, contentType) => {
    const { client } = connect();
    expect(await client.invoke("api", "post", data)).toMatchObject({ data, contentType });
  });

  test("checks the answer by a schema, and sends another content type when told", async () => {
    const { client, asked } = connect();
    const schema = z.object({ total: z.number() });
    const { data } = await client.invoke("api", "get", { total: 1 }, { schema, contentType: "application/hal+json" });
    expect([data.total, asked[0]?.contentType]).toEqual([1, "application/hal+json"]);
    await expect(client.invoke("api", "get", { total: "1" }, { schema })).rejects.toMatchObject({
      reason: "INVALID_VALUE",
    });
  });
});

describe("events", () => {
  async function connect() {
    const runtime = await startRuntime();
    const bindings = createBindingClient({ endpoint: runtime.endpoint });
    onTestFinished(() => bindings.close());
    return { runtime, bindings };
  }
  const json = (value: unknown) => ({ data: Buffer.from(JSON.stringify(value)), contentType: "application/json" });
  const fast = { minBackoff: "10ms", maxBackoff: "10ms" } as const;

  test("come to a handler with all that they carry; returning acks them", async () => {
    const { runtime, bindings } = await connect();
    const seen: BindingEvent[] = [];
    await using _ = bindings.subscribe("outside", (event) => void seen.push(event));
    runtime.put({ id: "one", time: 1_500, metadata: { path: "/a" }, ...json({ n: 1 }) });
    await until(() => seen.length === 1 && runtime.left() === 0, "an event is handled and acked");
    expect(seen[0]).toMatchObject({
      id: "one",
      time: new Date(1_500),
      data: { n: 1 },
      metadata: { path: "/a" },
      attempt: 1,
    });
  });

  test("without data have none", async () => {
    const { runtime, bindings } = await connect();
    await using stream = bindings.stream("outside");
    runtime.put({});
    const { value } = await stream[Symbol.asyncIterator]().next();
    expect(value?.data).toBeUndefined();
    expect(await value?.ack()).toBe(true);
  });

  test("come again when the handler throws, until they are out of attempts", async () => {
    const { runtime, bindings } = await connect();
    const attempts: number[] = [];
    const fail = ({ attempt }: BindingEvent) => {
      attempts.push(attempt);
      throw new Error("no");
    };
    await using _ = bindings.subscribe("outside", fail, { maxAttempts: 3, ...fast });
    runtime.put({});
    await until(() => runtime.left() === 0, "the event is given up");
    expect(attempts).toEqual([1, 2, 3]);
  });

  test("that do not fit the schema are given up, not handled", async () => {
    const { runtime, bindings } = await connect();
    const seen: number[] = [];
    const schema = z.object({ n: z.number() });
    await using _ = bindings.subscribe("outside", ({ data }) => void seen.push(data.n), { schema });
    runtime.put(json({ n: "one" }));
    runtime.put(json({ n: 2 }));
    await until(() => runtime.left() === 0, "both are settled");
    expect(seen).toEqual([2]);
  });

  test("go on when the runtime restarts, without the app noticing", async () => {
    const { runtime, bindings } = await connect();
    const seen = new Set<string>();
    await using _ = bindings.subscribe("outside", ({ id }) => void seen.add(id));
    runtime.put({ id: "before" });
    await until(() => seen.has("before"), "the first arrives");
    await runtime.stop();
    runtime.put({ id: "meanwhile" });
    await runtime.start();
    await until(() => seen.has("meanwhile") && runtime.left() === 0, "what happened meanwhile arrives");
  });

  test("of a binding that there is not reject the subscription", async () => {
    const { bindings } = await connect();
    await using sub = bindings.subscribe("nobody", () => {});
    await expect(sub.closed).rejects.toMatchObject({ reason: "COMPONENT_NOT_FOUND" });
  });
});

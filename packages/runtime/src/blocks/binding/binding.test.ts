import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import {
  BindingService,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
} from "@mecha/api/binding";
import { Disposition, SettleOutcome } from "@mecha/api/pubsub";
import { BadRequestSchema, ErrorInfoSchema } from "@mecha/api/rpc";
import { RuntimeService } from "@mecha/api/runtime";
import { createManualClock } from "@mecha/component/conformance";
import { describe, expect, onTestFinished, test } from "vitest";
import { component, startRuntime as start } from "../../../test/helpers.js";
import { testBinding } from "../../../test/test-binding.js";

const bytes = (text: string) => new TextEncoder().encode(text);

async function startRuntime(names: Record<string, Record<string, unknown>> = { echo: {} }, token?: string) {
  const { definition, controls } = testBinding();
  const clock = createManualClock();
  const runtime = await start({
    clock,
    components: [definition],
    resources: Object.entries(names).map(([name, config]) => component(name, { type: "echo", config })),
    ...(token !== undefined && { token }),
  });
  const client = createClient(BindingService, runtime.transport);
  return { runtime, controls, clock, client };
}

/** The reason and the wrong fields of a call that must fail. */
async function failure(call: Promise<unknown>): Promise<{ reason: string; message: string; fields: string[] }> {
  const error = ConnectError.from(
    await call.then(
      () => new Error("it did not fail"),
      (reason: unknown) => reason,
    ),
  );
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field));
  return { reason: error.findDetails(ErrorInfoSchema)[0]?.reason ?? "", message: error.rawMessage, fields };
}

describe("Invoke", () => {
  test("hands an operation to its component, for the app that calls", async () => {
    const { client, controls } = await startRuntime();
    const metadata = { times: "2", "header.x": "y" };
    const answer = await client.invoke({ operation: "echo", data: bytes("hi"), contentType: "text/plain", metadata });
    expect(answer).toMatchObject({ data: bytes("hi"), contentType: "text/plain", metadata });
    expect(controls.calls).toMatchObject([{ operation: "echo", keyspace: "default/app" }]);
  });

  test.each([
    [{ operation: "ecko" }, ["operation"], /ecko.*it has: echo, drop/],
    [{ operation: "" }, ["operation"], /is missing; it has: echo, drop/],
    [{ operation: "echo", metadata: { tims: "1" } }, ['metadata["tims"]'], /it takes: times, wait, header\.\*/],
    [{ operation: "echo", metadata: { "header.": "1" } }, ['metadata["header."]'], /it takes/],
    [
      { operation: "echo", metadata: { times: "two", wait: "soon" } },
      ['metadata["times"]', 'metadata["wait"]'],
      /whole number.*duration/,
    ],
    [{ operation: "echo", metadata: { "header.x": "x".repeat(8193) } }, ['metadata["header.x"]'], /8192 bytes/],
    [{ operation: "echo", contentType: "x".repeat(257) }, ["content_type"], /256/],
    [{ operation: "drop" }, ['metadata["thing"]'], /is missing/],
    [{ operation: "drop", metadata: { thing: "a" }, data: bytes("x") }, ["data"], /not taken/],
  ])("refuses %j, saying what would be right, and does nothing", async (request, fields, message) => {
    const { client, controls } = await startRuntime();
    const refused = await failure(client.invoke(request));
    expect(refused).toMatchObject({ reason: "BAD_REQUEST", fields });
    expect(refused.message).toMatch(message);
    expect(controls.calls).toEqual([]);
  });

  test("keeps the limit of what goes in to the byte, and says that what came out was too large", async () => {
    const { client } = await startRuntime({ echo: {}, huge: { answerBytes: 4 * 1024 * 1024 + 1 } });
    const call = { binding: "echo", operation: "echo" };
    await client.invoke({ ...call, data: new Uint8Array(1000) });
    expect(await failure(client.invoke({ ...call, data: new Uint8Array(1001) }))).toMatchObject({
      reason: "TOO_LARGE",
    });
    const huge = await failure(client.invoke({ ...call, binding: "huge" }));
    expect(huge).toMatchObject({ reason: "TOO_LARGE", message: expect.stringContaining("was done") });
  });

  test("names the bindings that there are when several have no default", async () => {
    const { client } = await startRuntime({ one: {}, two: {} });
    const { reason, message } = await failure(client.invoke({ operation: "echo" }));
    expect(reason).toBe("COMPONENT_NOT_FOUND");
    expect(message).toMatch(/"one", "two"/);
  });
});

test("GetInfo tells the operations with their parameters, and the events", async () => {
  const { runtime } = await startRuntime();
  const { components } = await createClient(RuntimeService, runtime.transport).getInfo({});
  expect(components.find(({ name }) => name === "echo")?.blocks[0]).toMatchObject({
    name: "binding",
    features: ["OUTPUT", "INPUT"],
    operations: [
      {
        name: "echo",
        inputContentType: "*/*",
        parameters: [{ name: "times", type: "integer", required: false }, {}, {}],
      },
      { name: "drop", inputContentType: "", parameters: [{ name: "thing", required: true }] },
    ],
    inputEvents: { contentType: "text/plain" },
  });
});

describe("events", () => {
  const event = (id: string) => ({
    id,
    time: 1_500,
    data: bytes(id),
    contentType: "text/plain",
    metadata: { from: "test" },
  });

  /** A stream, and what to say on it. */
  function open(
    client: Awaited<ReturnType<typeof startRuntime>>["client"],
    options: MessageInitShape<typeof SubscribeRequestSchema>["message"],
  ) {
    const outgoing: SubscribeRequest[] = [];
    let wake = () => {};
    const over = new AbortController();
    const say = (message: typeof options) => {
      outgoing.push(create(SubscribeRequestSchema, message === undefined ? {} : { message }));
      wake();
    };
    say(options);
    const requests = async function* () {
      for (; !over.signal.aborted; await new Promise<void>((resolve) => (wake = resolve))) yield* outgoing.splice(0);
    };
    const responses = client.subscribe(requests())[Symbol.asyncIterator]();
    const close = () => {
      over.abort();
      wake();
    };
    onTestFinished(close);
    const hear = async (): Promise<SubscribeResponse["message"] | undefined> => (await responses.next()).value?.message;
    return { say, close, hear };
  }

  test("flow on a stream: delivered, retried after its backoff, acked", async () => {
    const { client, controls, clock } = await startRuntime();
    const stream = open(client, { case: "open", value: { retry: { minBackoff: { seconds: 10n } } } });
    expect(await stream.hear()).toMatchObject({
      case: "opened",
      value: { retry: { maxAttempts: 10, minBackoff: { seconds: 10n } }, ackTimeout: { seconds: 30n } },
    });
    controls.queue().put(event("one"));
    const first = await stream.hear();
    if (first?.case !== "deliveries") throw new Error(`heard ${first?.case}`);
    expect(first.value.deliveries).toMatchObject([
      {
        attempt: 1,
        event: { id: "one", time: { seconds: 1n, nanos: 500_000_000 }, data: bytes("one"), metadata: { from: "test" } },
      },
    ]);
    const deliveryIds = first.value.deliveries.map(({ deliveryId }) => deliveryId);
    stream.say({ case: "ack", value: { deliveryIds, disposition: Disposition.RETRY } });
    expect(await stream.hear()).toMatchObject({
      case: "ackResult",
      value: { results: [{ outcome: SettleOutcome.DONE }] },
    });
    clock.advance(10_000);
    const second = await stream.hear();
    expect(second).toMatchObject({ case: "deliveries", value: { deliveries: [{ attempt: 2, event: { id: "one" } }] } });
    stream.say({ case: "ack", value: { deliveryIds, disposition: Disposition.ACK } });
    expect(await stream.hear()).toMatchObject({
      case: "ackResult",
      value: { results: [{ outcome: SettleOutcome.STALE }] },
    });
  });

  test("go back to be delivered elsewhere when a stream ends, at no cost of an attempt", async () => {
    const { client, controls } = await startRuntime();
    const first = open(client, { case: "open", value: {} });
    await first.hear();
    controls.queue().put(event("one"));
    expect((await first.hear())?.case).toBe("deliveries");
    const second = open(client, { case: "open", value: {} });
    await second.hear();
    first.close();
    expect(await second.hear()).toMatchObject({
      case: "deliveries",
      value: { deliveries: [{ attempt: 1, event: { id: "one" } }] },
    });
  });

  test("are pulled, extended and acked call by call, by the policy that they were pulled under", async () => {
    const { client, controls, clock } = await startRuntime();
    controls.queue().put(event("one"));
    const policy = { retry: { maxAttempts: 2, minBackoff: { seconds: 5n } }, ackTimeout: { seconds: 10n } };
    const pull = async () => (await client.pull({ open: policy })).deliveries;
    const [first] = await pull();
    expect(first).toMatchObject({ attempt: 1, event: { id: "one" } });
    const deliveryIds = [first?.deliveryId ?? ""];
    const extended = await client.extend({
      prolong: { deliveryIds: [...deliveryIds, "no-such-id"], ackTimeout: { seconds: 60n } },
    });
    expect(extended.results.map(({ outcome }) => outcome)).toEqual([SettleOutcome.DONE, SettleOutcome.STALE]);
    clock.advance(30_000);
    expect(await pull()).toEqual([]);
    const retried = await client.ack({ settle: { deliveryIds, disposition: Disposition.RETRY } });
    expect(retried.results).toMatchObject([{ outcome: SettleOutcome.DONE }]);
    expect(await pull()).toEqual([]);
    clock.advance(5_000);
    const [second] = await pull();
    expect(second).toMatchObject({ attempt: 2 });
    await client.ack({ settle: { deliveryIds: [second?.deliveryId ?? ""], disposition: Disposition.RETRY } });
    clock.advance(3_600_000);
    expect(await pull()).toEqual([]);
    expect(controls.queue().size).toBe(0);
  });

  test("that a binding does not have are FEATURE_NOT_SERVED", async () => {
    const { client } = await startRuntime({ echo: { outputOnly: true } });
    expect((await failure(client.pull({ open: {} }))).reason).toBe("FEATURE_NOT_SERVED");
    expect((await failure(open(client, { case: "open", value: {} }).hear())).reason).toBe("FEATURE_NOT_SERVED");
    const settle = { deliveryIds: ["x"], disposition: Disposition.ACK };
    expect((await failure(client.ack({ settle }))).reason).toBe("FEATURE_NOT_SERVED");
    expect((await failure(client.ack({ settle: { deliveryIds: ["x"] } }))).fields).toEqual(["settle.disposition"]);
  });
});

describe("/webhook/<component>", () => {
  test("is the component's, without a token of the runtime's, by whatever name and origin", async () => {
    const { runtime } = await startRuntime({ echo: {} }, "secret");
    const answer = await fetch(`${runtime.endpoint}/webhook/echo/orders?x=1`, {
      method: "POST",
      body: "0123456789",
      headers: { "x-sender": "me", origin: "https://elsewhere.example" },
    });
    expect([answer.status, answer.headers.get("x-sender"), await answer.text()]).toEqual([
      202,
      "me",
      "POST /orders?x=1 0123456789",
    ]);
    const other = await fetch(`${runtime.endpoint}/mecha.binding.v1.BindingService/Invoke`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
    });
    expect(other.status).toBe(401);
  });

  test("takes no more than the component does, and answers 404 where there is none", async () => {
    const { runtime } = await startRuntime();
    const post = async (path: string, body: string) =>
      (await fetch(`${runtime.endpoint}${path}`, { method: "POST", body })).status;
    expect(await post("/webhook/echo", "0123456789A")).toBe(413);
    expect(await post("/webhook/nobody", "0")).toBe(404);
  });
});

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { type Delivery, Disposition, GroupSettingsSchema, PubSubService, SettleOutcome } from "@mecha/api/pubsub";
import { ErrorInfoSchema } from "@mecha/api/rpc";
import { createManualClock } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { describe, expect, onTestFinished, test } from "vitest";
import { Conversation, type RequestInit } from "../../../test/conversation.js";
import { createRuntime } from "../../runtime.js";

const clock = createManualClock();

/** A runtime whose events are in memory, in the app's name, over a component that other runtimes of the test share. */
async function startRuntime(appId = "shop") {
  const runtime = await createRuntime({
    appId,
    clock,
    components: [memory],
    resources: [
      { apiVersion: "mecha.dev/v1", kind: "Component", metadata: { name: "events" }, spec: { type: "memory" } },
    ],
  });
  onTestFinished(() => runtime.close({ deadlineMs: 100 }));
  return { runtime, pubsub: createClient(PubSubService, runtime.transport) };
}

type Client = Awaited<ReturnType<typeof startRuntime>>["pubsub"];

const text = (delivery: Delivery | undefined) => new TextDecoder().decode(delivery?.event?.data);

const publish = (client: Client, topic: string, data: string, entry: object = {}) =>
  client.publish({ entry: { topic, event: { data: new TextEncoder().encode(data) }, ...entry } });

const reasonOf = (error: unknown) => {
  const connectError = ConnectError.from(error);
  return [connectError.code, connectError.findDetails(ErrorInfoSchema)[0]?.reason];
};

const open = (topic: string, more: object = {}) => ({ case: "open", value: { topic, ...more } }) as const;

describe("a subscription", () => {
  test("is told its settings, gets what is published, and settles it", async () => {
    const { pubsub } = await startRuntime();
    const conversation = new Conversation(pubsub, open("orders"));
    const opened = await conversation.hear();
    expect(opened).toMatchObject({
      case: "opened",
      value: { group: "shop", settings: { retry: { maxAttempts: 10 } } },
    });
    await publish(pubsub, "orders", "one", { orderingKey: "k" });
    const [delivery] = await conversation.deliveries();
    expect(text(delivery)).toBe("one");
    expect(delivery).toMatchObject({ attempt: 1, topic: "orders", orderingKey: "k" });
    expect(delivery?.event).toMatchObject({ source: "/ns/default/app/shop", type: "orders" });
    expect(delivery?.event?.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    conversation.ack(delivery!.deliveryId);
    expect(await conversation.results()).toEqual([SettleOutcome.DONE]);
    conversation.ack(delivery!.deliveryId, "never-given");
    expect(await conversation.results()).toEqual([SettleOutcome.STALE, SettleOutcome.STALE]);
  });

  test("gets no more than its credit, and more when it settles", async () => {
    const { pubsub } = await startRuntime();
    const conversation = new Conversation(pubsub, open("orders", { maxInFlight: 2 }));
    await conversation.hear();
    for (const name of ["a", "b", "c"]) await publish(pubsub, "orders", name);
    const held = [...(await conversation.deliveries())];
    if (held.length < 2) held.push(...(await conversation.deliveries()));
    expect(held.map(text)).toEqual(["a", "b"]);
    conversation.ack(held[0]!.deliveryId);
    const next = [await conversation.hear(), await conversation.hear()];
    const delivered = next.flatMap((message) => (message.case === "deliveries" ? message.value.deliveries : []));
    expect(delivered.map(text)).toEqual(["c"]);
  });

  test("gets again what it did not settle in time, and its late ack settles nothing", async () => {
    const { pubsub } = await startRuntime();
    const conversation = new Conversation(pubsub, open("orders", { settings: { ackTimeout: { seconds: 5n } } }));
    await conversation.hear();
    await publish(pubsub, "orders", "slow");
    const [first] = await conversation.deliveries();
    clock.advance(6_000);
    const [second] = await conversation.deliveries();
    expect(second?.attempt).toBe(2);
    conversation.ack(first!.deliveryId);
    expect(await conversation.results()).toEqual([SettleOutcome.STALE]);
    conversation.ack(second!.deliveryId);
    expect(await conversation.results()).toEqual([SettleOutcome.DONE]);
  });

  test("keeps what it extends", async () => {
    const { pubsub } = await startRuntime();
    const conversation = new Conversation(pubsub, open("orders", { settings: { ackTimeout: { seconds: 5n } } }));
    await conversation.hear();
    await publish(pubsub, "orders", "long");
    const [delivery] = await conversation.deliveries();
    const deliveryIds = [delivery!.deliveryId];
    conversation.say({ case: "extend", value: { deliveryIds, ackTimeout: { seconds: 60n } } });
    expect(await conversation.results()).toEqual([SettleOutcome.DONE]);
    clock.advance(30_000);
    conversation.ack(...deliveryIds);
    expect(await conversation.results()).toEqual([SettleOutcome.DONE]);
  });

  test("retries within one budget, then gives the event up, where it can be repaired", async () => {
    const { pubsub } = await startRuntime();
    const settings = { retry: { maxAttempts: 2, minBackoff: { seconds: 1n } } };
    const conversation = new Conversation(pubsub, open("orders", { settings }));
    await conversation.hear();
    await publish(pubsub, "orders", "poison");
    for (const attempt of [1, 2]) {
      const [delivery] = await conversation.deliveries();
      expect(delivery?.attempt).toBe(attempt);
      const deliveryIds = [delivery!.deliveryId];
      conversation.say({ case: "ack", value: { deliveryIds, disposition: Disposition.RETRY, error: `no ${attempt}` } });
      expect(await conversation.results()).toEqual([SettleOutcome.DONE]);
      clock.advance(2_000);
    }
    const { deadLetters } = await pubsub.listDeadLetters({ topic: "orders" });
    expect(deadLetters).toMatchObject([{ attempts: 2, lastError: "no 2", topic: "orders" }]);
    expect((await pubsub.requeueDeadLetters({ selection: { topic: "orders", all: true } })).count).toBe(1n);
    expect((await conversation.deliveries()).map(({ attempt }) => attempt)).toEqual([1]);
  });

  test("gets what its filter matches; what it fails on is passed over", async () => {
    const { pubsub } = await startRuntime();
    const filter = "data.total > 10 && event.type == 'order.placed'";
    const conversation = new Conversation(pubsub, open("orders", { settings: { filter } }));
    await conversation.hear();
    const place = (data: string, type = "order.placed") =>
      pubsub.publish({
        entry: {
          topic: "orders",
          event: { type, dataContentType: "application/json", data: new TextEncoder().encode(data) },
        },
      });
    await place('{"total": 5}');
    await place("no JSON at all");
    await place('{"total": 50}', "order.cancelled");
    await place('{"total": 50}');
    expect((await conversation.deliveries()).map(text)).toEqual(['{"total": 50}']);
  });

  test("that ends hands back what it held, at no cost of an attempt", async () => {
    const { pubsub } = await startRuntime();
    const first = new Conversation(pubsub, open("orders"));
    await first.hear();
    await publish(pubsub, "orders", "held");
    await first.deliveries();
    first.hangUp();
    const second = new Conversation(pubsub, open("orders"));
    await second.hear();
    expect(await second.deliveries()).toMatchObject([{ attempt: 1 }]);
  });

  test("is drained: no more deliveries, a chance to settle, then the end with a reason", async () => {
    const { runtime, pubsub } = await startRuntime();
    const conversation = new Conversation(pubsub, open("orders"));
    await conversation.hear();
    await publish(pubsub, "orders", "last");
    const [delivery] = await conversation.deliveries();
    const closed = runtime.close({ deadlineMs: 5_000 });
    expect(await conversation.hear()).toMatchObject({ case: "draining" });
    conversation.ack(delivery!.deliveryId);
    expect(await conversation.results()).toEqual([SettleOutcome.DONE]);
    const end = await conversation.hear().catch(reasonOf);
    expect(end).toEqual([Code.Unavailable, "COMPONENT_REPLACED"]);
    await closed;
  });

  const mistakes: [what: string, first: RequestInit, then: RequestInit[], code: Code, reason: string][] = [
    ["acks before it opens", { case: "ack", value: { deliveryIds: ["x"] } }, [], Code.InvalidArgument, "BAD_REQUEST"],
    ["opens twice", open("orders"), [open("orders")], Code.InvalidArgument, "BAD_REQUEST"],
    ["names no topic", open(""), [], Code.InvalidArgument, "BAD_REQUEST"],
    [
      "has a filter that is no CEL",
      open("orders", { settings: { filter: "event.type ==" } }),
      [],
      Code.InvalidArgument,
      "BAD_REQUEST",
    ],
    [
      "acks without a disposition",
      open("orders"),
      [{ case: "ack", value: { deliveryIds: ["x"] } }],
      Code.InvalidArgument,
      "BAD_REQUEST",
    ],
    ["asks for too much", open("orders", { maxInFlight: 10_001 }), [], Code.InvalidArgument, "BAD_REQUEST"],
    ["names an unknown component", open("orders", { pubsub: "nope" }), [], Code.NotFound, "COMPONENT_NOT_FOUND"],
  ];
  test.each(mistakes)("that %s is refused", async (_what, first, then, code, reason) => {
    const { pubsub } = await startRuntime();
    const conversation = new Conversation(pubsub, first);
    for (const message of then) conversation.say(message);
    const listen = async () => {
      for (;;) await conversation.hear();
    };
    await expect(listen().catch(reasonOf)).resolves.toEqual([code, reason]);
  });

  test("with other settings than its group's is refused, unless it updates them", async () => {
    const { pubsub } = await startRuntime();
    const settings = (maxAttempts: number) => ({ settings: create(GroupSettingsSchema, { retry: { maxAttempts } }) });
    const first = new Conversation(pubsub, open("orders", settings(3)));
    await first.hear();
    const second = new Conversation(pubsub, open("orders", settings(4)));
    expect(await second.hear().catch(reasonOf)).toEqual([Code.FailedPrecondition, "GROUP_MISMATCH"]);
    const third = new Conversation(pubsub, open("orders", { ...settings(4), updateGroup: true }));
    expect(await third.hear()).toMatchObject({ case: "opened" });
  });

  test("that is ephemeral takes no event from others, and leaves no group behind", async () => {
    const { pubsub } = await startRuntime();
    const app = new Conversation(pubsub, open("orders"));
    await app.hear();
    const tail = new Conversation(pubsub, open("orders", { ephemeral: true }));
    const opened = await tail.hear();
    const group = opened.case === "opened" ? opened.value.group : "";
    expect(group).toMatch(/^ephemeral-/);
    await publish(pubsub, "orders", "one");
    expect((await app.deliveries()).map(text)).toEqual(["one"]);
    expect((await tail.deliveries()).map(text)).toEqual(["one"]);
    tail.hangUp();
    // The group is gone when opening it by its name makes a new one, with other settings.
    const settings = create(GroupSettingsSchema, { filter: "true" });
    const isGone = () =>
      pubsub.pull({ open: { topic: "orders", group, settings } }).then(
        () => true,
        () => false,
      );
    for (const deadline = Date.now() + 10_000; !(await isGone()); ) {
      if (Date.now() > deadline) throw new Error("the group is still there");
      await new Promise(setImmediate);
    }
  });

  test.each([{ group: "g" }, { updateGroup: true, settings: {} }])("that is ephemeral takes no %j", async (more) => {
    const { pubsub } = await startRuntime();
    const error = await new Conversation(pubsub, open("orders", { ephemeral: true, ...more })).hear().catch(reasonOf);
    expect(error).toEqual([Code.InvalidArgument, "BAD_REQUEST"]);
    const pulled = await pubsub.pull({ open: { topic: "orders", ephemeral: true } }).catch(reasonOf);
    expect(pulled).toEqual([Code.InvalidArgument, "BAD_REQUEST"]);
  });
});

describe("pull", () => {
  test("takes, settles and extends without a stream", async () => {
    const { pubsub } = await startRuntime();
    const settings = { ackTimeout: { seconds: 5n } };
    expect((await pubsub.pull({ open: { topic: "orders", settings } })).deliveries).toEqual([]);
    for (const name of ["a", "b", "c"]) await publish(pubsub, "orders", name);
    const { deliveries } = await pubsub.pull({ open: { topic: "orders", maxInFlight: 2 } });
    expect(deliveries.map(text)).toEqual(["a", "b"]);
    const [a, b] = deliveries.map(({ deliveryId }) => deliveryId);
    const acked = await pubsub.ack({ settle: { deliveryIds: [a!, "made-up"], disposition: Disposition.ACK } });
    expect(acked.results.map(({ outcome }) => outcome)).toEqual([SettleOutcome.DONE, SettleOutcome.STALE]);
    const prolonged = await pubsub.extend({ prolong: { deliveryIds: [b!], ackTimeout: { seconds: 60n } } });
    expect(prolonged.results.map(({ outcome }) => outcome)).toEqual([SettleOutcome.DONE]);
    clock.advance(20_000);
    expect((await pubsub.pull({ open: { topic: "orders" } })).deliveries.map(text)).toEqual(["c"]);
    const settled = await pubsub.ack({ settle: { deliveryIds: [b!], disposition: Disposition.REJECT, error: "bad" } });
    expect(settled.results.map(({ outcome }) => outcome)).toEqual([SettleOutcome.DONE]);
    expect((await pubsub.listDeadLetters({ topic: "orders" })).deadLetters.map(({ lastError }) => lastError)).toEqual([
      "bad",
    ]);
  });
});

describe("publish", () => {
  test("stores the same request once", async () => {
    const { pubsub } = await startRuntime();
    const entry = { topic: "orders", event: {} };
    const first = await pubsub.publish({ entry, requestId: "r1" });
    const second = await pubsub.publish({ entry, requestId: "r1" });
    expect(first.duplicate).toBe(false);
    expect(second).toMatchObject({ eventId: first.eventId, duplicate: true });
  });

  test("tells of each entry, and holds back what follows a failed one", async () => {
    const { pubsub } = await startRuntime();
    const big = new Uint8Array(1024 * 1024);
    const { results } = await pubsub.publishMany({
      entries: [
        { topic: "orders", orderingKey: "k", event: { id: "1" } },
        { topic: "orders", orderingKey: "k", event: { id: "2", data: big } },
        { topic: "orders", orderingKey: "k", event: { id: "3" } },
        { topic: "orders", event: { id: "4" } },
      ],
    });
    expect(
      results.map(({ result }) => (result.case === "error" ? result.value.reason : result.value?.eventId)),
    ).toEqual(["1", "TOO_LARGE", "EARLIER_FAILED", "4"]);
  });

  const mistakes: [what: string, entry: object][] = [
    ["no event", { topic: "orders" }],
    ["a topic with a space", { topic: "my orders", event: {} }],
    ["a delay with an ordering key", { topic: "orders", event: {}, orderingKey: "k", delay: { seconds: 1n } }],
    ["a ttl of 0", { topic: "orders", event: {}, ttl: {} }],
    ["an extension with a capital", { topic: "orders", event: { extensions: { Region: "eu" } } }],
    ["an extension with an attribute's name", { topic: "orders", event: { extensions: { specversion: "1.0" } } }],
    ["unknown metadata", { topic: "orders", event: {}, metadata: { partition: "3" } }],
    ["a time that no calendar has", { topic: "t", event: { time: { seconds: 10n ** 12n } } }],
  ];
  test.each(mistakes)("refuses %s", async (_what, entry) => {
    const { pubsub } = await startRuntime();
    await expect(pubsub.publish({ entry }).catch(reasonOf)).resolves.toEqual([Code.InvalidArgument, "BAD_REQUEST"]);
  });

  test("refuses an event over the limit, with both sizes", async () => {
    const { pubsub } = await startRuntime();
    const error = await pubsub
      .publish({ entry: { topic: "t", event: { data: new Uint8Array(1024 * 1024) } } })
      .catch((e) => e);
    expect(reasonOf(error)).toEqual([Code.ResourceExhausted, "TOO_LARGE"]);
    expect(error.message).toMatch(/is 10\d{5} bytes; the limit is 1048576/);
  });
});

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { Disposition, GroupSettingsSchema, SettleOutcome } from "@mecha/api/pubsub";
import { describe, expect, test } from "vitest";
import { Conversation, type RequestInit } from "../../../test/conversation.js";
import { clock, open, publish, reasonOf, startRuntime, text } from "../../../test/pubsub.js";

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

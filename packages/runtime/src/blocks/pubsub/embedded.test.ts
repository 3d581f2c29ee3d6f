import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import {
  Disposition,
  PubSubService,
  SettleOutcome,
  type SubscribeRequest,
  SubscribeRequestSchema,
} from "@mecha/api/pubsub";
import { expect, onTestFinished, test } from "vitest";
import { createRuntime } from "../../runtime.js";

function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "mecha-embedded-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** A runtime with no resources at all. */
async function startRuntime(dataDir: string, appId = "shop") {
  const runtime = await createRuntime({ appId, dataDir });
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= runtime.close({ deadlineMs: 100 }));
  onTestFinished(close);
  return { close, pubsub: createClient(PubSubService, runtime.transport) };
}

/** Opens a subscription and keeps it open until `over` aborts. */
async function* opening(topic: string, over: AbortSignal): AsyncGenerator<SubscribeRequest> {
  yield create(SubscribeRequestSchema, { message: { case: "open", value: { topic } } });
  await new Promise((resolve) => over.addEventListener("abort", resolve));
}

test("events need no configuration; a runtime that restarts hands back at once what its apps worked on", async () => {
  const dataDir = temporaryFolder();
  const first = await startRuntime(dataDir);
  const over = new AbortController();
  const stream = first.pubsub.subscribe(opening("orders", over.signal))[Symbol.asyncIterator]();
  expect((await stream.next()).value?.message.case).toBe("opened");
  const data = new TextEncoder().encode("one");
  await first.pubsub.publish({ entry: { topic: "orders", event: { data } } });
  expect((await stream.next()).value?.message).toMatchObject({
    case: "deliveries",
    value: { deliveries: [{ attempt: 1, event: { data } }] },
  });
  await first.close();
  over.abort();

  const second = await startRuntime(dataDir);
  const pulled = await second.pubsub.pull({ open: { topic: "orders" } });
  expect(pulled.deliveries).toMatchObject([{ attempt: 1, event: { data } }]);
  const deliveryIds = pulled.deliveries.map(({ deliveryId }) => deliveryId);
  await second.pubsub.ack({ settle: { deliveryIds, disposition: Disposition.ACK } });
  expect((await second.pubsub.pull({ open: { topic: "orders" } })).deliveries).toEqual([]);
});

test("an app over the same file has groups of its own, and settles nothing of another's", async () => {
  const dataDir = temporaryFolder();
  const { pubsub } = await startRuntime(dataDir);
  const thief = (await startRuntime(dataDir, "thief")).pubsub;
  const open = { topic: "orders", group: "mail" };
  await pubsub.pull({ open });
  await pubsub.publish({ entry: { topic: "orders", event: { id: "mine" } } });
  const { deliveries } = await pubsub.pull({ open });
  const deliveryIds = deliveries.map(({ deliveryId }) => deliveryId);
  expect(deliveryIds).toHaveLength(1);
  // The topic is everybody's, and a new group begins with what is published from now on.
  expect((await thief.pull({ open })).deliveries).toEqual([]);
  const outcomes = async (results: Promise<{ results: { outcome: SettleOutcome }[] }>) =>
    (await results).results.map(({ outcome }) => outcome);
  for (const disposition of [Disposition.ACK, Disposition.REJECT]) {
    expect(await outcomes(thief.ack({ settle: { deliveryIds, disposition } }))).toEqual([SettleOutcome.STALE]);
  }
  expect(await outcomes(thief.extend({ prolong: { deliveryIds } }))).toEqual([SettleOutcome.STALE]);
  const settle = { deliveryIds, disposition: Disposition.ACK };
  expect(await outcomes(pubsub.ack({ settle }))).toEqual([SettleOutcome.DONE]);
  expect(await outcomes(pubsub.ack({ settle }))).toEqual([SettleOutcome.STALE]);
  const never = deliveryIds.map((id) => `${id.slice(0, -1)}~`);
  expect(await outcomes(pubsub.ack({ settle: { ...settle, deliveryIds: [...never, "nonsense"] } }))).toEqual([
    SettleOutcome.STALE,
    SettleOutcome.STALE,
  ]);
  expect((await pubsub.listDeadLetters(open)).deadLetters).toEqual([]);
});

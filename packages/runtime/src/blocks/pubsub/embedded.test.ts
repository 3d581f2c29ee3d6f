import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { Disposition, PubSubService, type SubscribeRequest, SubscribeRequestSchema } from "@mecha/api/pubsub";
import { expect, onTestFinished, test } from "vitest";
import { createRuntime } from "../../runtime.js";

function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "mecha-embedded-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** A runtime with no resources at all. */
async function startRuntime(dataDir: string) {
  const runtime = await createRuntime({ appId: "shop", dataDir });
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

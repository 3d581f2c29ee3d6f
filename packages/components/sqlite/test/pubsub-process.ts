// A process that publishes and consumes, until it is killed. Arguments: the data folder; what it does: "publish" what it is told, or "both" as
// fast as it can, telling what was answered and, before each ack, what came; and its leases, in ms.
import type { PubSub } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";
import { call, entry, openGroup, text } from "./events.ts";

const [dataDir = "", mode = "", leaseMs = ""] = process.argv.slice(2);

/** Resolves once the message has left this process. */
const tell = (message: object) => new Promise<void>((resolve) => process.send?.(message, () => resolve()));

async function publish(pubsub: PubSub, name: string): Promise<void> {
  await pubsub.publish({ keyspace: call.keyspace, entries: [entry(name)] });
  await tell({ published: name });
}

async function publishAll(pubsub: PubSub, caller: number): Promise<never> {
  for (let count = 0; ; count++) await publish(pubsub, `${process.pid}/${caller}/${count}`);
}

async function consumeAll(pubsub: PubSub): Promise<never> {
  const source = pubsub.consume(call);
  const { signal } = new AbortController();
  for (;;) {
    const leases = await source.receive({ maxItems: 8, maxBytes: 1024 * 1024, leaseMs: Number(leaseMs), signal });
    await tell({ received: leases.map(text) });
    await source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
  }
}

const { pubsub } = (await startComponent(sqlite, {}, { dataDir })).blocks;
if (pubsub === undefined) throw new Error("the component serves no pubsub");
await openGroup(pubsub);
process.on("disconnect", () => process.exit());
process.on("message", ({ name }: { name: string }) => void publish(pubsub, name));
await tell({ ready: true });
if (mode === "both") await Promise.all([consumeAll(pubsub), ...[1, 2, 3, 4].map((id) => publishAll(pubsub, id))]);

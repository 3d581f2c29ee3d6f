// A process that publishes and consumes, until it is killed. Arguments: the server's url; what it does: "publish" what it is told, "hold" all that it
// gets, or "both" publish and consume as fast as it can, telling what was answered and, before each ack, what came; and its leases, in ms.
import type { PubSub } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { postgres } from "@mecha/component-postgres";
import { call, openGroup, publish, pubsubOf, text } from "./events.ts";

const [url = "", mode = "", leaseMs = ""] = process.argv.slice(2);

/** Resolves once the message has left this process. */
const tell = (message: object) => new Promise<void>((resolve) => process.send?.(message, () => resolve()));

async function publishOne(pubsub: PubSub, name: string): Promise<void> {
  await publish(pubsub, name);
  await tell({ published: name });
}

async function publishAll(pubsub: PubSub, caller: number): Promise<never> {
  for (let count = 0; ; count++) await publishOne(pubsub, `${process.pid}/${caller}/${count}`);
}

async function consumeAll(pubsub: PubSub, acks: boolean): Promise<never> {
  const source = pubsub.consume(call);
  const { signal } = new AbortController();
  for (;;) {
    const leases = await source.receive({ maxItems: 8, maxBytes: 1024 * 1024, leaseMs: Number(leaseMs), signal });
    await tell({ received: leases.map(text) });
    if (acks) await source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
  }
}

const pubsub = pubsubOf(await startComponent(postgres, { url }));
await openGroup(pubsub);
process.on("disconnect", () => process.exit());
process.on("message", ({ name }: { name: string }) => void publishOne(pubsub, name));
await tell({ ready: true });
if (mode === "hold") await consumeAll(pubsub, false);
if (mode === "both") await Promise.all([consumeAll(pubsub, true), ...[1, 2, 3, 4].map((id) => publishAll(pubsub, id))]);

// A process that publishes and consumes, until it is killed. Arguments: the server's URL; what it does: "publish" what it is told, or "both" as fast
// as it can, telling what was answered and, before each ack, what came; and its leases, in ms.
import { startComponent } from "@mecha/component/conformance";
import { redis } from "@mecha/component-redis";
import { ack, GroupKit, nameOf, pubsubOf, take } from "./events.ts";

const [url, mode = "", leaseMs = ""] = process.argv.slice(2);

/** Resolves once the message has left this process. */
const tell = (message: object) => new Promise<void>((resolve) => process.send?.(message, () => resolve()));

const group = await new GroupKit(pubsubOf(await startComponent(redis, { url }))).open();

async function publish(name: string): Promise<void> {
  await group.names(name);
  await tell({ published: name });
}

async function publishAll(caller: number): Promise<never> {
  for (let count = 0; ; count++) await publish(`${process.pid}/${caller}/${count}`);
}

async function consumeAll(): Promise<never> {
  const source = group.consume();
  for (;;) {
    const leases = await take(source, 8, 60_000, Number(leaseMs));
    await tell({ received: leases.map(nameOf) });
    await ack(source, leases);
  }
}

process.on("disconnect", () => process.exit());
process.on("message", ({ name }: { name: string }) => void publish(name));
await tell({ ready: true });
if (mode === "both") await Promise.all([consumeAll(), ...[1, 2, 3, 4].map(publishAll)]);

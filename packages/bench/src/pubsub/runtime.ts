import { createClient } from "@connectrpc/connect";
import { PubSubService } from "@mecha/api/pubsub";
import { serveMecha } from "@mecha/e2e/mecha";
import { createPubSubClient } from "@mecha/pubsub";
import { createTransport } from "@mecha/rpc";
import { type Contestant, maxInFlight } from "./queue.ts";

/** What an app has: `mecha serve` as a process, and @mecha/pubsub over TCP. */
export async function startRuntime(resources: string | undefined, serverPids: readonly number[]): Promise<Contestant> {
  const mecha = await serveMecha(resources === undefined ? {} : { resources });
  const { endpoint, pid } = mecha;
  const pubsub = createPubSubClient({ endpoint, retry: false });
  return {
    pids: [pid, ...serverPids],
    async open(topic) {
      await using transport = createTransport({ endpoint });
      // The first call of a group makes it.
      await createClient(PubSubService, transport).pull({ open: { topic } });
      return {
        publish: (event) => pubsub.publish(topic, event),
        async publishMany(events) {
          const outcomes = await pubsub.publishMany(events.map((data) => ({ topic, data })));
          for (const outcome of outcomes) if (!outcome.ok) throw outcome.error;
        },
        // As many again wait at hand.
        consume: (handle) =>
          pubsub.subscribe<Uint8Array>(topic, ({ data }) => handle(data), { concurrency: maxInFlight / 2 }),
      };
    },
    async [Symbol.asyncDispose]() {
      await pubsub.close();
      await mecha[Symbol.asyncDispose]();
    },
  };
}

import { openGroup } from "@mecha/e2e/groups";
import { serveMecha } from "@mecha/e2e/mecha";
import { createPubSubClient } from "@mecha/pubsub";
import { type Contestant, maxInFlight } from "./queue.ts";

/** What an app has: `mecha serve` as a process, and @mecha/pubsub over TCP. */
export async function startRuntime(resources: string | undefined, serverPids: readonly number[]): Promise<Contestant> {
  const mecha = await serveMecha(resources === undefined ? {} : { resources });
  const { endpoint, pid } = mecha;
  const pubsub = createPubSubClient({ endpoint, retry: false });
  return {
    pids: [pid, ...serverPids],
    async open(topic) {
      await openGroup(endpoint, topic, "e2e");
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

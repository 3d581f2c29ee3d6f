import type { TestServer } from "@mecha/test-servers";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Contestant, maxInFlight } from "./queue.ts";

const durable = "bench";

/** A stream on the disk with a pull consumer over NATS' own client. */
export async function startNats({ url, pid }: TestServer): Promise<Contestant> {
  const connection = await connect({ servers: url });
  const manager = await jetstreamManager(connection);
  const client = jetstream(connection);
  return {
    pids: [pid],
    async open(name) {
      await manager.streams.add({ name, subjects: [name] });
      await manager.consumers.add(name, {
        durable_name: durable,
        ack_policy: AckPolicy.Explicit,
        max_ack_pending: maxInFlight,
      });
      const consumer = await client.consumers.get(name, durable);
      const publish = (event: Uint8Array) => client.publish(name, event);
      return {
        publish,
        publishMany: (events) => Promise.all(events.map(publish)),
        consume(handle) {
          const running = consumer.consume({
            max_messages: maxInFlight,
            callback(message) {
              handle(message.data);
              message.ack();
            },
          });
          return {
            async [Symbol.asyncDispose]() {
              await (await running).close();
            },
          };
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await connection.close();
    },
  };
}

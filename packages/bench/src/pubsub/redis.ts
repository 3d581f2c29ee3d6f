import type { TestServer } from "@mecha/test-servers";
import { createClient, RESP_TYPES } from "@redis/client";
import { type Contestant, maxInFlight } from "./queue.ts";

const group = "bench";

/** A stream with a consumer group over @redis/client, which sends what is asked in one turn of the event loop together. */
export async function startRedis({ url, pid }: TestServer): Promise<Contestant> {
  const client = createClient({ url, RESP: 3 });
  const blocking = client.duplicate().withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  for (const each of [client, blocking]) {
    each.on("error", () => {});
    await each.connect();
  }
  return {
    pids: [pid],
    async open(key) {
      await client.xGroupCreate(key, group, "$", { MKSTREAM: true });
      const publish = (event: Uint8Array) =>
        client.xAdd(key, "*", { event: Buffer.from(event.buffer, event.byteOffset, event.byteLength) });
      return {
        publish,
        publishMany: (events) => Promise.all(events.map(publish)),
        consume(handle) {
          let isOver: boolean = false;
          const run = async () => {
            while (!isOver) {
              const streams = await blocking.xReadGroup(
                group,
                "one",
                { key, id: ">" },
                { COUNT: maxInFlight, BLOCK: 100 },
              );
              const messages = (streams ?? []).flatMap((stream) => stream.messages);
              for (const { message } of messages) handle(message.event);
              if (messages.length > 0)
                await client.xAck(
                  key,
                  group,
                  messages.map(({ id }) => id),
                );
            }
          };
          const running = run();
          return {
            async [Symbol.asyncDispose]() {
              isOver = true;
              await running;
            },
          };
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await blocking.close();
      await client.close();
    },
  };
}

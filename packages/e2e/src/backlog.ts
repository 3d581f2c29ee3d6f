import type { PubSubClient } from "@mecha/pubsub";

/** How many bytes of events one call publishes, and how many calls are under way. */
const batchBytes = 512 * 1024;
const callers = 4;

/** Publishes many events, numbered from `from` on, as fast as they are taken. */
export async function publishBacklog(
  pubsub: PubSubClient,
  topic: string,
  from: number,
  to: number,
  eventBytes = 1024,
): Promise<void> {
  const batchSize = batchBytes / eventBytes;
  let next = from;
  const caller = async () => {
    while (next < to) {
      const first = next;
      next = Math.min(to, next + batchSize);
      const entries = Array.from({ length: next - first }, (_, index) => {
        const data = Buffer.alloc(eventBytes);
        data.writeUInt32LE(first + index);
        return { topic, data };
      });
      for (const outcome of await pubsub.publishMany(entries)) if (!outcome.ok) throw outcome.error;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

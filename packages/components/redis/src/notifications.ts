import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "./redis.js";

/** How long to wait before listening again after that failed. */
const retryMs = 500;

/**
 * Listens to a sharded channel until it is disposed, across lost connections and moved slots. What is said while nobody could listen is lost:
 * `listener` then gets undefined, "anything may have happened".
 */
export function listen(redis: Redis, route: string, channel: string, listener: (message?: string) => void): Disposable {
  const stop = new AbortController();
  const stopped = new Promise<void>((resolve) =>
    stop.signal.addEventListener("abort", () => resolve(), { once: true }),
  );
  const onMessage = (message: string) => listener(message);
  const keepListening = async () => {
    while (!stop.signal.aborted) {
      const connection = redis.events(route);
      try {
        await connection.subscribe(channel, onMessage);
        listener();
        await Promise.race([connection.lost, stopped]);
      } catch (error) {
        if (!redis.learn(error, route, connection.endpoint)) {
          await delay(retryMs, undefined, { ref: false, signal: stop.signal }).catch(() => {});
        }
      }
      if (stop.signal.aborted) await connection.unsubscribe(channel, onMessage).catch(() => {}); // Lost, and the channel with it.
    }
  };
  void keepListening();
  return { [Symbol.dispose]: () => stop.abort() };
}

import type { Client } from "@connectrpc/connect";
import type { PubSubService } from "@mecha/api/pubsub";
import { backoffMs, type Codec, MechaError, type RuntimeConnection, runtimeUnavailable, sleep } from "@mecha/client";
import { type OpenEvent, shorten, toEvent } from "./event.js";
import { type SubscribeOptions, toOpen } from "./options.js";
import { Session } from "./session.js";

/** What every call of a client shares. */
export interface Scope {
  readonly runtime: RuntimeConnection;
  readonly rpc: Client<typeof PubSubService>;
  readonly pubsub: string;
}

/** An event with the stream that it came by. */
export interface Flowing<T> {
  readonly event: OpenEvent<T>;
  readonly session: Session;
}

/**
 * The events of a group, across restarts of the runtime: a stream that breaks is opened again. An event whose data cannot be read becomes a dead
 * letter with the reason. Ends when `ended` aborts; throws what trying again does not mend.
 */
export async function* flow<T>(
  scope: Scope,
  topic: string,
  codec: Codec<never, T>,
  maxInFlight: number,
  options: SubscribeOptions,
  ended: AbortSignal,
): AsyncGenerator<Flowing<T>, void, undefined> {
  const { runtime } = scope;
  const open = toOpen(topic, options.pubsub ?? scope.pubsub, maxInFlight, options);
  let lastHeard = performance.now();
  for (let attempt = 1; ; attempt++) {
    const session = new Session();
    let failure: MechaError;
    try {
      const { headers } = options;
      for await (const delivery of session.run(scope.rpc, open, { signal: ended, ...(headers && { headers }) })) {
        attempt = 0;
        if (delivery === "opened") continue;
        try {
          yield { event: await toEvent(delivery, session, codec), session };
        } catch (error) {
          await session.refuse(delivery.deliveryId, { reject: shorten(MechaError.from(error).message) });
        }
      }
      failure = runtimeUnavailable("the runtime ended the subscription");
    } catch (error) {
      failure = MechaError.from(error);
    } finally {
      session.close();
    }
    if (ended.aborted) return;
    if (attempt === 0) lastHeard = performance.now();
    if (failure.code !== "unavailable" || runtime.retry.maxAttempts === 1) throw failure;
    const delayMs = backoffMs(runtime.retry, attempt + 1, failure, Math.random);
    if (performance.now() + delayMs - lastHeard > (options.reconnectTimeoutMs ?? 60_000)) throw failure;
    await sleep(delayMs, ended).catch(() => {});
  }
}

import type { RuntimeConnection } from "../connect-runtime.js";
import { MechaError, runtimeUnavailable } from "../errors.js";
import { backoffMs, sleep } from "../retry.js";
import type { ReceiveOptions } from "./options.js";
import { Session } from "./session.js";
import { createSettleable, type Settleable, shorten } from "./settleable.js";
import type { AnyDelivery, Wire } from "./wire.js";

/** What keeps a delivery alive: the stream that it came by. */
export interface Lifeline {
  readonly ackTimeoutMs: number;
  extend(deliveryIds: string[]): Promise<boolean>;
}

/** An event with the stream that it came by. */
export interface Flowing<Event> {
  readonly event: Event;
  readonly session: Lifeline;
}

/**
 * The events of a subscription, across restarts of the runtime: a stream that breaks is opened again. An event whose data cannot be read is given up
 * with the reason. Ends when `ended` aborts; throws what trying again does not mend.
 */
export async function* flow<Open, Opened, Delivery extends AnyDelivery, Event extends Settleable>(
  runtime: RuntimeConnection,
  wire: Wire<Open, Opened, Delivery, Event>,
  options: ReceiveOptions,
  ended: AbortSignal,
): AsyncGenerator<Flowing<Event>, void, undefined> {
  let lastHeard = performance.now();
  for (let attempt = 1; ; attempt++) {
    const session = new Session(wire);
    let failure: MechaError;
    try {
      const { headers } = options;
      for await (const delivery of session.run({ signal: ended, ...(headers && { headers }) })) {
        attempt = 0;
        if (delivery === "opened") continue;
        try {
          yield { event: await wire.read(delivery, createSettleable(delivery.deliveryId, session)), session };
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
    // An ack of which nobody knows whether it counted ends the stream too; if it did not, its event comes again.
    const isPassing = failure.code === "unavailable" || failure.reason === "OUTCOME_UNKNOWN";
    if (!isPassing || runtime.retry.maxAttempts === 1) throw failure;
    const delayMs = backoffMs(runtime.retry, attempt + 1, failure, Math.random);
    if (performance.now() + delayMs - lastHeard > (options.reconnectTimeoutMs ?? 60_000)) throw failure;
    await sleep(delayMs, ended).catch(() => {});
  }
}

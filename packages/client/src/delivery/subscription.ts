import type { RuntimeConnection } from "../connect-runtime.js";
import { type Flowing, flow, type Lifeline } from "./flow.js";
import type { ReceiveOptions } from "./options.js";
import { type Settleable, shorten } from "./settleable.js";
import type { AnyDelivery, Wire } from "./wire.js";

/** Handles one event. Returning acks it, unless it was settled; throwing has it delivered again, with the error's message. */
export type EventHandler<Event> = (event: Event) => Promise<void> | void;

/** A handler at work. */
export interface Subscription extends AsyncDisposable {
  /** Settles when the subscription is over: rejects with what trying again does not mend (a filter that is none, a component that there is not). */
  readonly closed: Promise<void>;
  /** Takes no more events, lets the handlers finish, and hands back the rest. */
  close(): Promise<void>;
}

/** Runs `handle` on the events of a subscription, `concurrency` at a time. */
export function createEventSubscription<Open, Opened, Delivery extends AnyDelivery, Event extends Settleable>(
  runtime: RuntimeConnection,
  wire: Wire<Open, Opened, Delivery, Event>,
  handle: EventHandler<Event>,
  options: ReceiveOptions & { readonly concurrency: number },
): Subscription {
  const { concurrency } = options;
  const stopping = new AbortController();
  const hungUp = new AbortController();
  for (const signal of [runtime.closed, options.signal]) {
    if (signal?.aborted) stopping.abort();
    else signal?.addEventListener("abort", () => stopping.abort(), { once: true });
  }
  const flowing = flow(runtime, wire, options, AbortSignal.any([hungUp.signal, runtime.closed]));
  const running = new Set<Promise<void>>();
  const held = new Map<Lifeline, Set<string>>();

  const work = async ({ event, session }: Flowing<Event>) => {
    const ids = held.get(session) ?? keepAlive(session, held, hungUp.signal);
    ids.add(event.deliveryId);
    try {
      await settle(event, handle);
    } finally {
      ids.delete(event.deliveryId);
    }
  };

  const run = async () => {
    const stopped = new Promise<IteratorResult<Flowing<Event>, void>>((resolve) => {
      const done = () => resolve({ done: true, value: undefined });
      if (stopping.signal.aborted) done();
      else stopping.signal.addEventListener("abort", done, { once: true });
    });
    try {
      for (;;) {
        const next = await Promise.race([flowing.next(), stopped]);
        if (next.done === true || stopping.signal.aborted) break;
        const working: Promise<void> = work(next.value).finally(() => running.delete(working));
        running.add(working);
        if (running.size >= concurrency) await Promise.race(running);
      }
      await Promise.all(running);
    } finally {
      hungUp.abort();
      await flowing.return();
    }
  };

  const closed = run();
  closed.catch(() => {});
  const close = async () => {
    stopping.abort();
    await closed;
  };
  return { closed, close, [Symbol.asyncDispose]: () => close().catch(() => {}) };
}

/** Runs the handler and says what came of it. A settlement that fails is no loss: the event comes again. */
async function settle<Event extends Settleable>(event: Event, handle: EventHandler<Event>): Promise<void> {
  try {
    await handle(event);
    if (!event.settled) await event.ack();
  } catch (error) {
    if (!event.settled) await event.retry({ error: shorten(error instanceof Error ? error.message : String(error)) });
  }
}

/** Extends what handlers of a stream hold, as long as they work: a slow handler does not get its event twice. */
function keepAlive(session: Lifeline, held: Map<Lifeline, Set<string>>, ended: AbortSignal): Set<string> {
  const ids = new Set<string>();
  held.clear();
  held.set(session, ids);
  const timer = setInterval(() => {
    if (held.get(session) !== ids || ended.aborted) clearInterval(timer);
    else if (ids.size > 0) void session.extend([...ids].slice(0, 1000));
  }, session.ackTimeoutMs / 3);
  ended.addEventListener("abort", () => clearInterval(timer), { once: true });
  return ids;
}

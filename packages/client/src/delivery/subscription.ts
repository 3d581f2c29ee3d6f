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
  /** Events whose handler runs or whose settlement is not answered. */
  const open = new Set<Promise<void>>();
  const held = new Map<Lifeline, Set<string>>();
  let handlers = 0;
  // Called when there is something new to wait for; kept here because what is raced against each event would remember each.
  let stopWaiting = () => {};
  let handlerEnded = () => {};
  stopping.signal.addEventListener("abort", () => stopWaiting(), { once: true });

  const work = async ({ event, session }: Flowing<Event>) => {
    const ids = held.get(session) ?? keepAlive(session, held, hungUp.signal);
    ids.add(event.deliveryId);
    handlers += 1;
    try {
      // The next handler need not wait until the runtime has answered the ack of this one.
      await settle(event, handle, () => {
        handlers -= 1;
        handlerEnded();
      });
    } finally {
      ids.delete(event.deliveryId);
    }
  };

  /** The next event, or the end once this is to stop. */
  const nextEvent = () =>
    new Promise<IteratorResult<Flowing<Event>, void>>((resolve, reject) => {
      stopWaiting = () => resolve({ done: true, value: undefined });
      if (stopping.signal.aborted) stopWaiting();
      else flowing.next().then(resolve, reject);
    });

  const run = async () => {
    try {
      for (;;) {
        const next = await nextEvent();
        if (next.done === true || stopping.signal.aborted) break;
        const working: Promise<void> = work(next.value).finally(() => open.delete(working));
        open.add(working);
        while (handlers >= concurrency) {
          await new Promise<void>((resolve) => {
            handlerEnded = resolve;
          });
        }
      }
      await Promise.all(open);
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

/** Runs the handler, says that it ended, and then what came of it. A settlement that fails is no loss: the event comes again. */
async function settle<Event extends Settleable>(
  event: Event,
  handle: EventHandler<Event>,
  handled: () => void,
): Promise<void> {
  let failure: { readonly error: unknown } | undefined;
  try {
    await handle(event);
  } catch (error) {
    failure = { error };
  }
  handled();
  if (event.settled) return;
  if (failure === undefined) await event.ack();
  else {
    const { error } = failure;
    await event.retry({ error: shorten(error instanceof Error ? error.message : String(error)) });
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

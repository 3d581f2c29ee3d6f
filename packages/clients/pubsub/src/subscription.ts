import type { Codec } from "@mecha/client";
import { type OpenEvent, type ReceivedEvent, shorten } from "./event.js";
import { type Flowing, flow, type Scope } from "./flow.js";
import type { SubscribeOptions } from "./options.js";
import type { Session } from "./session.js";

/** Handles one event. Returning acks it, unless it was settled; throwing has it delivered again, with the error's message. */
export type EventHandler<T> = (event: ReceivedEvent<T>) => Promise<void> | void;

/** A handler at work. */
export interface Subscription extends AsyncDisposable {
  /** Settles when the subscription is over: rejects with what trying again does not mend (a filter that is none, a group of other settings). */
  readonly closed: Promise<void>;
  /** Takes no more events, lets the handlers finish, and hands back the rest. */
  close(): Promise<void>;
}

/** Handlers at work at a time, unless told. */
const defaultConcurrency = 16;

export function createSubscription<T>(
  scope: Scope,
  topic: string,
  codec: Codec<never, T>,
  handle: EventHandler<T>,
  options: SubscribeOptions & { concurrency?: number },
): Subscription {
  const { concurrency = defaultConcurrency } = options;
  const stopping = new AbortController();
  const hungUp = new AbortController();
  for (const signal of [scope.runtime.closed, options.signal]) {
    if (signal?.aborted) stopping.abort();
    else signal?.addEventListener("abort", () => stopping.abort(), { once: true });
  }
  // As many again wait at hand, so that no handler waits for the network.
  const flowing = flow(
    scope,
    topic,
    codec,
    concurrency * 2,
    options,
    AbortSignal.any([hungUp.signal, scope.runtime.closed]),
  );
  const running = new Set<Promise<void>>();
  const held = new Map<Session, Set<string>>();

  const work = async ({ event, session }: Flowing<T>) => {
    const ids = held.get(session) ?? keepAlive(session, held, hungUp.signal);
    ids.add(event.deliveryId);
    try {
      await settle(event, handle);
    } finally {
      ids.delete(event.deliveryId);
    }
  };

  const run = async () => {
    const stopped = new Promise<IteratorResult<Flowing<T>, void>>((resolve) => {
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
async function settle<T>(event: OpenEvent<T>, handle: EventHandler<T>): Promise<void> {
  try {
    await handle(event);
    if (!event.settled) await event.ack();
  } catch (error) {
    if (!event.settled) await event.retry({ error: shorten(error instanceof Error ? error.message : String(error)) });
  }
}

/** Extends what handlers of a stream hold, as long as they work: a slow handler does not get its event twice. */
function keepAlive(session: Session, held: Map<Session, Set<string>>, ended: AbortSignal): Set<string> {
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

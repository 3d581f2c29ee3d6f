import type { Codec } from "@mecha/client";
import type { ReceivedEvent } from "./event.js";
import { type Flowing, flow, type Scope } from "./flow.js";
import type { SubscribeOptions } from "./options.js";

/** Events one by one: settle each before the next, or hold up to `maxInFlight` of them. Iterate it once; leaving the loop ends it. */
export interface EventStream<T> extends AsyncIterable<ReceivedEvent<T>, void, undefined>, AsyncDisposable {
  /** Ends the stream; what is not settled is handed back at once. */
  close(): Promise<void>;
}

/** Events that may be unsettled at a time, unless told. */
const defaultMaxInFlight = 64;

export function createStream<T>(
  scope: Scope,
  topic: string,
  codec: Codec<never, T>,
  options: SubscribeOptions & { maxInFlight?: number },
): EventStream<T> {
  const closed = new AbortController();
  const signals = [closed.signal, scope.runtime.closed, ...(options.signal ? [options.signal] : [])];
  const ended = AbortSignal.any(signals);
  const events = toEvents(flow(scope, topic, codec, options.maxInFlight ?? defaultMaxInFlight, options, ended), closed);
  const close = async () => {
    closed.abort();
    await events.return();
  };
  return { [Symbol.asyncIterator]: () => events, close, [Symbol.asyncDispose]: close };
}

async function* toEvents<T>(
  flowing: AsyncIterable<Flowing<T>>,
  closed: AbortController,
): AsyncGenerator<ReceivedEvent<T>, void, undefined> {
  try {
    for await (const { event } of flowing) yield event;
  } finally {
    closed.abort(); // A loop that is left leaves the call open otherwise.
  }
}

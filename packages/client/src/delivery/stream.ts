import type { RuntimeConnection } from "../connect-runtime.js";
import { type Flowing, flow } from "./flow.js";
import type { ReceiveOptions } from "./options.js";
import type { Settleable } from "./settleable.js";
import type { AnyDelivery, Wire } from "./wire.js";

/** Events one by one: settle each before the next, or hold up to `maxInFlight` of them. Iterate it once; leaving the loop ends it. */
export interface EventStream<Event> extends AsyncIterable<Event, void, undefined>, AsyncDisposable {
  /** Ends the stream; what is not settled is handed back at once. */
  close(): Promise<void>;
}

export function createEventStream<Open, Opened, Delivery extends AnyDelivery, Event extends Settleable>(
  runtime: RuntimeConnection,
  wire: Wire<Open, Opened, Delivery, Event>,
  options: ReceiveOptions,
): EventStream<Event> {
  const closed = new AbortController();
  const signals = [closed.signal, runtime.closed, ...(options.signal ? [options.signal] : [])];
  const ended = AbortSignal.any(signals);
  const events = toEvents(flow(runtime, wire, options, ended), closed);
  const close = async () => {
    closed.abort();
    await events.return();
  };
  return { [Symbol.asyncIterator]: () => events, close, [Symbol.asyncDispose]: close };
}

async function* toEvents<Event>(
  flowing: AsyncIterable<Flowing<Event>>,
  closed: AbortController,
): AsyncGenerator<Event, void, undefined> {
  try {
    for await (const { event } of flowing) yield event;
  } finally {
    closed.abort(); // A loop that is left leaves the call open otherwise.
  }
}

/** A topic with one group of consumers, reached by some way: the runtime's client, or an engine's own. */
export interface Queue {
  /** Resolves, or returns, when the event is durable. */
  publish(event: Uint8Array): unknown;
  publishMany(events: readonly Uint8Array[]): unknown;
  /** Hands over events, at most {@link maxInFlight} at a time, and acks each after that; until disposed. */
  consume(handle: (event: Uint8Array) => void): AsyncDisposable;
}

/** How many events a consumer holds. */
export const maxInFlight = 128;

/** One way to reach an engine. */
export interface Contestant extends AsyncDisposable {
  /** Opens a queue: what is published from then on is for its consumer. */
  open(name: string): Promise<Queue>;
  /** The processes, beside this one, whose CPU it uses. */
  readonly pids: readonly number[];
}

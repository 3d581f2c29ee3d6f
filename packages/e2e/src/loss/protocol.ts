import { writeSync } from "node:fs";

/** Names one event: the `number`-th, from 0, of an ordering key. */
export type EventName = readonly [key: string, number: number];

/** The id that the event bears, however often it is published. */
export const eventId = ([key, number]: EventName): string => `${key}.${number}`;

/** What a publisher is told. */
export interface PublisherOptions {
  readonly endpoint: string;
  readonly topic: string;
  readonly seed: string;
  /** Whether it publishes within transactions. */
  readonly outbox: boolean;
  /** Its ordering keys, each with the number of the first event that is not acknowledged. */
  readonly keys: readonly EventName[];
}

/** What a subscriber is told. */
export interface SubscriberOptions {
  readonly endpoint: string;
  readonly topic: string;
  readonly groups: readonly string[];
}

/** What programs tell, a line each. */
export type Told =
  /** These are about to be published. */
  | readonly ["attempt", ...EventName[]]
  /** The runtime has answered that these are published. */
  | readonly ["ack", ...EventName[]]
  /** A group was delivered an event; told before it is acked. */
  | readonly ["got", group: string, source: string, id: string, key: string, number: number]
  /** An error that no kill explains. */
  | readonly ["fault", message: string];

/** Tells the harness. When it returns the kernel has the line: a SIGKILL of this process does not take it back. */
export function tell(told: Told): void {
  writeSync(1, `${JSON.stringify(told)}\n`);
}

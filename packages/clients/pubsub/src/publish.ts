import type { PublishResult } from "@mecha/api/pubsub";
import { type CallOptions, type EventOptions, MechaError } from "@mecha/client";

/** How to publish one event. */
export interface PublishOptions extends EventOptions, CallOptions {
  /** The pubsub component. Default: the client's, else the runtime's default. */
  pubsub?: string;
  /** Makes the call safe to send again for 10 minutes: the event is stored once. Feature DEDUP. Default: none. */
  requestId?: string;
}

/** One of several events to publish. */
export interface PublishEntry extends EventOptions {
  topic: string;
  data?: unknown;
}

/** An event that is durable. */
export interface Published {
  readonly eventId: string;
  /** Whether it had been stored before, so that it was not again. */
  readonly duplicate: boolean;
}

/** What became of one of several events. */
export type PublishOutcome = ({ readonly ok: true } & Published) | { readonly ok: false; readonly error: MechaError };

/** What became of an entry of PublishMany. */
export function toOutcome({ result }: PublishResult): PublishOutcome {
  if (result.case === "published") {
    const { eventId, duplicate } = result.value;
    return { ok: true, eventId, duplicate };
  }
  const { reason, message } = result.value ?? { reason: "UNKNOWN", message: "the runtime did not say" };
  return { ok: false, error: new MechaError(message, { code: "unknown", reason }) };
}

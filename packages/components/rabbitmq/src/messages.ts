import type { Lease } from "@mecha/component";
import type { Message, Options } from "amqplib";

/** Of an error that is kept with a dead letter, in characters. */
const maxErrorLength = 1024;

const names = {
  key: "x-mecha-key",
  attempts: "x-mecha-attempts",
  error: "x-mecha-error",
  time: "x-mecha-time",
} as const;

/** What stands with an event, beside its payload. */
export interface EventHeaders {
  readonly orderingKey: string;
  /** Attempts that it had as another message: RabbitMQ counts those of this one. */
  readonly attempts: number;
}

export function toProperties({ orderingKey, attempts }: EventHeaders): Options.Publish {
  const headers: Record<string, string | number> = {};
  if (orderingKey !== "") headers[names.key] = orderingKey;
  if (attempts > 0) headers[names.attempts] = attempts;
  return { headers };
}

/** What a message tells of its delivery: a lease without a handle. */
export function readMessage({ content, properties }: Message): Omit<Lease, "handle"> {
  const headers: Readonly<Record<string, unknown>> = properties.headers ?? {};
  const earlier = Number(headers[names.attempts] ?? 0);
  // How often this message was handed back to the broker, by a nack or because who had it went away.
  const returns = Number(headers["x-delivery-count"] ?? 0);
  return { payload: content, attempt: earlier + returns + 1, orderingKey: String(headers[names.key] ?? "") };
}

/** What stands with a dead letter. */
export interface DeadHeaders {
  readonly orderingKey: string;
  readonly attempts: number;
  readonly error: string;
  /** When it was given up, ms since the epoch. */
  readonly time: number;
}

export function toDeadProperties(id: string, { orderingKey, attempts, error, time }: DeadHeaders): Options.Publish {
  const { headers } = toProperties({ orderingKey, attempts });
  // Half a surrogate pair, where it is cut, is no UTF-8.
  const words = error.slice(0, maxErrorLength).toWellFormed();
  return { messageId: id, headers: { ...headers, [names.error]: words, [names.time]: time } };
}

export function readDead({ properties }: Message): DeadHeaders & { readonly id: string } {
  const headers: Readonly<Record<string, unknown>> = properties.headers ?? {};
  return {
    id: String(properties.messageId),
    orderingKey: String(headers[names.key] ?? ""),
    attempts: Number(headers[names.attempts]),
    error: String(headers[names.error]),
    time: Number(headers[names.time]),
  };
}

import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type DeadLetterSelection,
  Disposition as DispositionCode,
  type GroupSettings as GroupSettingsMessage,
  type PublishEntry,
  type Settle,
} from "@mecha/api/pubsub";
import { type GroupSettings, type GroupStart, pubsubLimits } from "@mecha/component";
import type { Disposition } from "../../delivery/policy.js";
import { toMs } from "../time.js";
import { checkBytes, type Violations } from "../validation.js";

const { maxNameLength, maxOrderingKeyBytes, maxDelayMs } = pubsubLimits;

const name = new RegExp(`^[A-Za-z0-9._-]{1,${maxNameLength}}$`);
const secondMs = 1_000;
const hourMs = 60 * 60 * secondMs;
const dayMs = 24 * hourMs;

/** What a group has that asks for nothing. */
export const defaultSettings: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 10,
  minBackoffMs: secondMs,
  maxBackoffMs: 5 * 60 * secondMs,
  ackTimeoutMs: 30 * secondMs,
};

/** Requires the name of a topic or group. */
export function checkName(field: string, value: string, violations: Violations): void {
  if (!name.test(value)) {
    violations.add(
      field,
      `is "${value.slice(0, 140)}"; 1 to ${maxNameLength} characters of [A-Za-z0-9._-] are allowed`,
    );
  }
}

/** A duration in whole ms, rounded up, within bounds; `fallback` if it is not set. */
function within<Fallback>(
  duration: Duration | undefined,
  [min, max]: readonly [number, number],
  fallback: Fallback,
  field: string,
  violations: Violations,
): number | Fallback {
  if (duration === undefined) return fallback;
  const ms = toMs(duration);
  if (ms !== undefined && ms >= min && ms <= max) return ms;
  violations.add(
    field,
    `is ${Number(duration.seconds) + duration.nanos / 1e9} s; ${min / 1000} to ${max / 1000} s are allowed`,
  );
  return fallback;
}

/** What an entry says beside its event. */
export interface EntryOptions {
  readonly delayMs: number;
  readonly ttlMs: number | undefined;
}

/** Checks an entry, all but its event; `path` is where its fields are: "entry." or "entries[3].". */
export function checkEntry(entry: PublishEntry, path: string, violations: Violations): EntryOptions {
  checkName(`${path}topic`, entry.topic, violations);
  checkBytes(`${path}ordering_key`, entry.orderingKey, maxOrderingKeyBytes, violations);
  const delayMs = within(entry.delay, [0, maxDelayMs], 0, `${path}delay`, violations);
  const ttlMs = within(entry.ttl, [1, maxDelayMs], undefined, `${path}ttl`, violations);
  if (delayMs > 0 && entry.orderingKey !== "") {
    violations.add(`${path}delay`, "cannot be kept together with ordering_key; leave one of them out");
  }
  return { delayMs, ttlMs };
}

/** A group's settings, with defaults for what is not set. */
export function toSettings(message: GroupSettingsMessage, path: string, violations: Violations): GroupSettings {
  checkBytes(`${path}filter`, message.filter, 4096, violations);
  const { retry } = message;
  const maxAttempts = retry?.maxAttempts ?? 0;
  if (maxAttempts < 0 || maxAttempts > 1000) {
    violations.add(
      `${path}retry.max_attempts`,
      `is ${maxAttempts}; 1 to 1000 are allowed, 0 means ${defaultSettings.maxAttempts}`,
    );
  }
  const minBackoffMs = within(
    retry?.minBackoff,
    [0, hourMs],
    defaultSettings.minBackoffMs,
    `${path}retry.min_backoff`,
    violations,
  );
  const maxBackoffMs = within(
    retry?.maxBackoff,
    [0, dayMs],
    Math.max(defaultSettings.maxBackoffMs, minBackoffMs),
    `${path}retry.max_backoff`,
    violations,
  );
  if (maxBackoffMs < minBackoffMs) violations.add(`${path}retry.max_backoff`, "is less than min_backoff");
  return {
    filter: message.filter,
    ordered: message.ordered,
    start: toStart(message, path, violations),
    maxAttempts: maxAttempts === 0 ? defaultSettings.maxAttempts : maxAttempts,
    minBackoffMs,
    maxBackoffMs,
    ackTimeoutMs: within(
      message.ackTimeout,
      [secondMs, hourMs],
      defaultSettings.ackTimeoutMs,
      `${path}ack_timeout`,
      violations,
    ),
  };
}

function toStart({ start }: GroupSettingsMessage, path: string, violations: Violations): GroupStart {
  const position = start?.position;
  switch (position?.case) {
    case "earliest":
      if (!position.value) violations.add(`${path}start.earliest`, "is false; set it to true, or set another start");
      return { type: "earliest" };
    case "time":
      return { type: "time", time: Number(position.value.seconds) * 1000 + Math.floor(position.value.nanos / 1e6) };
    default:
      return { type: "new" };
  }
}

/** What an app says of deliveries. */
export function toDisposition(settle: Settle, path: string, violations: Violations): Disposition {
  checkDeliveryIds(settle.deliveryIds, path, violations);
  checkBytes(`${path}error`, settle.error, 1024, violations);
  const afterMs = within(settle.retryAfter, [0, dayMs], undefined, `${path}retry_after`, violations);
  switch (settle.disposition) {
    case DispositionCode.ACK:
      return { type: "ack" };
    case DispositionCode.RETRY:
      return { type: "retry", afterMs, error: settle.error };
    case DispositionCode.REJECT:
      return { type: "reject", error: settle.error };
    default:
      violations.add(`${path}disposition`, "is missing; say DISPOSITION_ACK, DISPOSITION_RETRY or DISPOSITION_REJECT");
      return { type: "ack" };
  }
}

/** How long an extension is for; undefined: the group's ack timeout. */
export function toExtension(
  { deliveryIds, ackTimeout }: { deliveryIds: string[]; ackTimeout?: Duration | undefined },
  path: string,
  violations: Violations,
): number | undefined {
  checkDeliveryIds(deliveryIds, path, violations);
  return within(ackTimeout, [secondMs, hourMs], undefined, `${path}ack_timeout`, violations);
}

function checkDeliveryIds(ids: readonly string[], path: string, violations: Violations): void {
  if (ids.length < 1 || ids.length > 1000) {
    violations.add(`${path}delivery_ids`, `has ${ids.length} ids; 1 to 1000 are allowed`);
  }
}

/** A number within bounds; 0 means `fallback`. */
export function toCount(
  value: number,
  [min, max]: readonly [number, number],
  fallback: number,
  field: string,
  violations: Violations,
): number {
  if (value === 0) return fallback;
  if (value < min || value > max)
    violations.add(field, `is ${value}; ${min} to ${max} are allowed, 0 means ${fallback}`);
  return value;
}

/** How long a Pull waits, in ms. */
export function toWait(wait: Duration | undefined, violations: Violations): number {
  return within(wait, [0, 30 * secondMs], 0, "wait", violations);
}

/** Which dead letters: their ids, or undefined for all. */
export function toDeadLetterIds(selection: DeadLetterSelection, violations: Violations): readonly string[] | undefined {
  const { all, deadLetterIds } = selection;
  if (all && deadLetterIds.length === 0) return undefined;
  if (all) violations.add("selection.dead_letter_ids", "is given together with all; leave one of them out");
  else if (deadLetterIds.length < 1 || deadLetterIds.length > 1000) {
    violations.add("selection.dead_letter_ids", `has ${deadLetterIds.length} ids; 1 to 1000 are allowed, or set all`);
  }
  return deadLetterIds;
}

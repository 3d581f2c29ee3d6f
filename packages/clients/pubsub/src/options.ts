import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { OpenSchema } from "@mecha/api/pubsub";
import { type Duration, type HeadersLike, toMilliseconds } from "@mecha/client";

/** What belongs to a group, whoever consumes for it. */
export interface GroupSettings {
  /** A CEL expression over `event` and (JSON) `data`: `data.total > 100`. What it does not match is skipped. Default: everything. */
  filter?: string;
  /** Whether events of one ordering key come in order, one at a time. Never changes. Default false. */
  ordered?: boolean;
  /** Where a new group begins: with what is published from now on, with the oldest retained event, or with a time. Never changes. Default "new". */
  start?: "new" | "earliest" | Date;
  /** Deliveries until an event becomes a dead letter: 1 to 1000. Default 10. */
  maxAttempts?: number;
  /** The wait before the second attempt, in ms or as "1s"; it doubles with each further one. Default 1 s. */
  minBackoff?: Duration;
  /** The longest wait between attempts. Default 5 min. */
  maxBackoff?: Duration;
  /** How long a delivery may go unsettled before it comes again: 1 s to 1 h. Default 30 s. */
  ackTimeout?: Duration;
}

/** How to receive. */
export interface SubscribeOptions {
  /** Consumers of one group share its events. Default: the app id. */
  group?: string;
  /** The pubsub component. Default: the client's, else the runtime's default. */
  pubsub?: string;
  /** The group's settings. The first open of a group gives it these; others are GROUP_MISMATCH unless `updateGroup`. Default: those it has. */
  settings?: GroupSettings;
  /** Changes the group's settings to `settings`. Default false. */
  updateGroup?: boolean;
  /** Bytes of events that may be unsettled at a time. Default 16 MiB. */
  maxInFlightBytes?: number;
  /** How long to try again when the runtime is away, in ms. Default 60 000; `Infinity` never gives up. */
  reconnectTimeoutMs?: number;
  /** Ends the subscription. */
  signal?: AbortSignal;
  headers?: HeadersLike;
}

/** How to open a subscription, as the contract says it. */
export function toOpen(
  topic: string,
  pubsub: string,
  maxInFlight: number,
  options: SubscribeOptions,
): MessageInitShape<typeof OpenSchema> {
  const { settings } = options;
  return {
    pubsub,
    topic,
    group: options.group ?? "",
    maxInFlight,
    maxInFlightBytes: BigInt(options.maxInFlightBytes ?? 0),
    updateGroup: options.updateGroup ?? false,
    ...(settings !== undefined && { settings: toSettings(settings) }),
  };
}

function toSettings(settings: GroupSettings) {
  const { filter = "", ordered = false, start = "new", maxAttempts = 0, minBackoff, maxBackoff, ackTimeout } = settings;
  const position =
    start === "new"
      ? { case: undefined }
      : start === "earliest"
        ? ({ case: "earliest", value: true } as const)
        : ({ case: "time", value: timestampFromDate(start) } as const);
  return {
    filter,
    ordered,
    start: { position },
    retry: {
      maxAttempts,
      ...(minBackoff !== undefined && { minBackoff: toDuration(minBackoff, "minBackoff") }),
      ...(maxBackoff !== undefined && { maxBackoff: toDuration(maxBackoff, "maxBackoff") }),
    },
    ...(ackTimeout !== undefined && { ackTimeout: toDuration(ackTimeout, "ackTimeout") }),
  };
}

/** A duration as the contract has it, in whole ms. */
export const toDuration = (duration: Duration, name: string) =>
  durationFromMs(Math.ceil(toMilliseconds(duration, name)));

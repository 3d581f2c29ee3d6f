import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { OpenSchema } from "@mecha/api/pubsub";
import { type DeliveryRetryOptions, type ReceiveOptions, toRetryPolicy } from "@mecha/client/delivery";

/** What belongs to a group, whoever consumes for it. */
export interface GroupSettings extends DeliveryRetryOptions {
  /** A CEL expression over `event` and (JSON) `data`: `data.total > 100`. What it does not match is skipped. Default: everything. */
  filter?: string;
  /** Whether events of one ordering key come in order, one at a time. Never changes. Default false. */
  ordered?: boolean;
  /** Where a new group begins: with what is published from now on, with the oldest retained event, or with a time. Never changes. Default "new". */
  start?: "new" | "earliest" | Date;
}

/** How to receive. */
export interface SubscribeOptions extends ReceiveOptions {
  /** Consumers of one group share its events. Default: the app id. */
  group?: string;
  /** The pubsub component. Default: the client's, else the runtime's default. */
  pubsub?: string;
  /** The group's settings. The first open of a group gives it these; others are GROUP_MISMATCH unless `updateGroup`. Default: those it has. */
  settings?: GroupSettings;
  /** Changes the group's settings to `settings`. Default false. */
  updateGroup?: boolean;
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
  const { filter = "", ordered = false, start = "new" } = settings;
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
    ...toRetryPolicy(settings),
  };
}

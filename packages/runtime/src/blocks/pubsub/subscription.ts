import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Event, type Open, type SubscribeResponse, SubscribeResponseSchema } from "@mecha/api/pubsub";
import type { Clock, DeliverySource } from "@mecha/component";
import type { OpenStream } from "../../delivery/stream.js";
import { toCredit } from "../../delivery/terms.js";
import type { DeliveryTelemetry } from "../../telemetry/deliveries.js";
import { Violations } from "../validation.js";
import { readEvent, tellOfEvent, toDelivery, toSettingsMessage } from "./convert.js";
import { deliveryIdsOf } from "./delivery-id.js";
import type { Groups, OpenGroup } from "./group.js";

/** What a subscription needs of the runtime. */
export interface SubscriptionContext {
  readonly groups: Groups;
  readonly clock: Clock;
  readonly deliveries: DeliveryTelemetry;
  onSourceError(error: unknown): void;
}

/** Opens the group that a Subscribe stream asks for. */
export async function openSubscription(
  open: Open,
  signal: AbortSignal,
  { groups, clock, deliveries, onSourceError }: SubscriptionContext,
): Promise<OpenStream<Event, SubscribeResponse>> {
  const violations = new Violations();
  const credit = toCredit(open, violations);
  violations.throwIfAny();
  const group = await groups.open(open, signal);
  const { topic } = group.call;
  const source = group.binding.serve.consume(group.call);
  return {
    live: group.binding.live,
    source: open.ephemeral ? deletingGroup(source, group) : source,
    policy: group.settings,
    credit,
    clock,
    idOf: deliveryIdsOf(topic, group.call.group),
    read: (payload) => wanted(group, payload),
    onSourceError,
    recorded: { record: deliveries.of("pubsub", group.binding.live.plan.name), tell: tellOfEvent },
    opened: opened(group),
    deliveries(taken) {
      const deliveries = taken.map((delivery) => toDelivery(delivery, topic));
      return respond({ case: "deliveries", value: { deliveries } });
    },
    ackResult: (results) => respond({ case: "ackResult", value: { results } }),
    draining: () => respond({ case: "draining", value: {} }),
  };
}

/** A source whose group goes with it. */
function deletingGroup(source: DeliverySource, { binding, call }: OpenGroup): DeliverySource {
  return {
    receive: (asked) => source.receive(asked),
    settle: (settlements) => source.settle(settlements),
    extend: (handles, leaseMs) => source.extend(handles, leaseMs),
    async close() {
      await source.close();
      await binding.serve.deleteGroup(call);
    },
  };
}

/** An event as it was stored; undefined if the group does not want it. */
export function wanted(group: OpenGroup, payload: Uint8Array): Event | undefined {
  const event = readEvent(payload);
  return group.wants(event) ? event : undefined;
}

function opened({ settings, call }: OpenGroup): SubscribeResponse {
  const group = call.group.slice(call.group.indexOf("/") + 1);
  return respond({ case: "opened", value: { settings: toSettingsMessage(settings), group } });
}

function respond(message: NonNullable<MessageInitShape<typeof SubscribeResponseSchema>["message"]>): SubscribeResponse {
  return create(SubscribeResponseSchema, { message });
}

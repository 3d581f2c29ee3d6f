import type { Delivery as DeliveryMessage, PullRequest } from "@mecha/api/pubsub";
import type { GroupCall, GroupSettings } from "@mecha/component";
import type { Binding } from "../../components/registry.js";
import type { FindDelivery, Puller, PullSource } from "../../delivery/puller.js";
import { toPullLimits } from "../../delivery/terms.js";
import type { DeliveryTelemetry } from "../../telemetry/deliveries.js";
import { Violations } from "../validation.js";
import { tellOfEvent, toDelivery } from "./convert.js";
import { deliveryIdsOf, parseDeliveryId } from "./delivery-id.js";
import type { Groups, OpenGroup } from "./group.js";
import { wanted } from "./subscription.js";

/** Takes events of a group for one unary call. */
export async function pull(
  puller: Puller,
  request: PullRequest,
  group: OpenGroup,
  telemetry: DeliveryTelemetry,
  signal: AbortSignal,
): Promise<DeliveryMessage[]> {
  const violations = new Violations();
  const limits = toPullLimits(request, violations);
  violations.throwIfAny();
  const { binding, call, settings } = group;
  const deliveries = await puller.pull({
    ...limits,
    source: sourceOf(binding, call, telemetry),
    tell: tellOfEvent,
    policy: settings,
    signal,
    idOf: deliveryIdsOf(call.topic, call.group),
    read: (payload) => wanted(group, payload),
  });
  return deliveries.map((delivery) => toDelivery(delivery, call.topic));
}

/** Finds what delivery ids name, for one call: a group's settings are asked for once. */
export function deliveriesOf(groups: Groups, binding: Binding<"pubsub">, telemetry: DeliveryTelemetry): FindDelivery {
  const settings = new Map<string, Promise<GroupSettings | undefined>>();
  const settingsOf = (call: GroupCall) => {
    const id = idOf(call);
    const known = settings.get(id) ?? Promise.resolve(binding.serve.settingsOf(call));
    settings.set(id, known);
    return known;
  };
  return async (id) => {
    const delivery = parseDeliveryId(id);
    if (delivery === undefined || !groups.isOwn(delivery.group)) return undefined;
    const call = { keyspace: groups.keyspace, topic: delivery.topic, group: delivery.group };
    const policy = await settingsOf(call);
    return policy && { ...delivery, policy, source: sourceOf(binding, call, telemetry) };
  };
}

const idOf = ({ topic, group }: GroupCall) => `${topic} ${group}`;

function sourceOf({ live, serve }: Binding<"pubsub">, call: GroupCall, telemetry: DeliveryTelemetry): PullSource {
  const record = telemetry.of("pubsub", live.plan.name);
  return { live, id: idOf(call), consume: () => serve.consume(call), record };
}

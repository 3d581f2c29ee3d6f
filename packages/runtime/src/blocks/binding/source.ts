import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Delivery as DeliveryMessage,
  DeliverySchema,
  type InputEvent,
  InputEventSchema,
} from "@mecha/api/binding";
import { ComponentError, type DeliverySource, type InputSource } from "@mecha/component";
import type { Binding } from "../../components/registry.js";
import type { Delivery } from "../../delivery/dispatcher.js";
import type { DeliveredItem } from "../../telemetry/deliveries.js";
import type { RuntimeLogger } from "../../telemetry/logger.js";
import { fromTimestamp, toTimestamp } from "../time.js";
import { requireFeature } from "../validation.js";

/** What an event tells of itself where deliveries are counted and traced. */
export function tellOfInput({ time, metadata }: InputEvent): DeliveredItem {
  return { time: time && fromTimestamp(time), traceparent: metadata.traceparent };
}

/** Consumes the events of a binding for this app. Throws FEATURE_NOT_SERVED if it has none. */
export function consumeInput({ live, serve, keyspace }: Binding<"binding">, onGivenUp: OnGivenUp): DeliverySource {
  requireFeature(serve.features, "INPUT", "binding", live.plan.name);
  if (serve.input === undefined) throw new ComponentError("FEATURE_NOT_SERVED", `"${live.plan.name}" has no events`);
  return toDeliverySource(serve.input.consume({ keyspace }), (eventId, error) =>
    onGivenUp(live.plan.name, eventId, error),
  );
}

/** Told of an event that was given up: a binding has no dead letters. */
export type OnGivenUp = (binding: string, eventId: string, error: string) => void;

/** Says in the log what was given up. */
export function logGivenUp(logger: RuntimeLogger): OnGivenUp {
  return (component, event, error) =>
    logger.error({ component, event, error }, "an event was given up: it was rejected, or is out of attempts");
}

/** Events under a lease whose ids are remembered, for the log; the oldest give way. */
const maxRemembered = 10_000;

/** A binding's events as the delivery engine takes them: its payloads are encoded `mecha.binding.v1.InputEvent`s. */
function toDeliverySource(source: InputSource, onGivenUp: (eventId: string, error: string) => void): DeliverySource {
  const ids = new Map<string, string>();
  const remember = (handle: string, id: string) => {
    ids.set(handle, id);
    const [oldest] = ids.keys();
    if (ids.size > maxRemembered && oldest !== undefined) ids.delete(oldest);
  };
  return {
    async receive(call) {
      const leases = await source.receive(call);
      return leases.map(({ handle, attempt, event }) => {
        remember(handle, event.id);
        const message = create(InputEventSchema, { ...event, time: toTimestamp(event.time) });
        return { handle, attempt, orderingKey: "", payload: toBinary(InputEventSchema, message) };
      });
    },
    async settle(settlements) {
      const counted = await source.settle(settlements);
      for (const [index, settlement] of settlements.entries()) {
        const { type, handle } = settlement;
        if (type === "dead" && counted[index] === true) onGivenUp(ids.get(handle) ?? "", settlement.error);
        ids.delete(handle);
      }
      return counted;
    },
    extend: (handles, leaseMs) => source.extend(handles, leaseMs),
    close: () => source.close(),
  };
}

/** An event as {@link consumeInput} hands it over. */
export const readInputEvent = (payload: Uint8Array): InputEvent => fromBinary(InputEventSchema, payload);

/** A delivery as a message. */
export function toDelivery({ id, item, attempt }: Delivery<InputEvent>): DeliveryMessage {
  return create(DeliverySchema, { deliveryId: id, event: item, attempt });
}

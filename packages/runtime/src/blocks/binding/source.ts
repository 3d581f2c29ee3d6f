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
import { toTimestamp } from "../time.js";
import { requireFeature } from "../validation.js";

/** Consumes the events of a binding for this app. Throws FEATURE_NOT_SERVED if it has none. */
export function consumeInput({ live, serve, keyspace }: Binding<"binding">, onGivenUp: OnGivenUp): DeliverySource {
  requireFeature(serve.features, "INPUT", "binding", live.plan.name);
  if (serve.input === undefined) throw new ComponentError("FEATURE_NOT_SERVED", `"${live.plan.name}" has no events`);
  return toDeliverySource(serve.input.consume({ keyspace }), (handle, error) =>
    onGivenUp(live.plan.name, handle, error),
  );
}

/** Told of a delivery that was given up: a binding has no dead letters. */
export type OnGivenUp = (binding: string, handle: string, error: string) => void;

/** A binding's events as the delivery engine takes them: its payloads are encoded `mecha.binding.v1.InputEvent`s. */
function toDeliverySource(source: InputSource, onGivenUp: (handle: string, error: string) => void): DeliverySource {
  return {
    async receive(call) {
      const leases = await source.receive(call);
      return leases.map(({ handle, attempt, event }) => {
        const message = create(InputEventSchema, { ...event, time: toTimestamp(event.time) });
        return { handle, attempt, orderingKey: "", payload: toBinary(InputEventSchema, message) };
      });
    },
    settle(settlements) {
      for (const settlement of settlements) {
        if (settlement.type === "dead") onGivenUp(settlement.handle, settlement.error);
      }
      return source.settle(settlements);
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

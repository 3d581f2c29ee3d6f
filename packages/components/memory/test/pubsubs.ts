import type { Clock, Component, DeliverySource, GroupCall, PubSub, Settlement } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { memory } from "../src/index.js";

export type Receive = Parameters<DeliverySource["receive"]>[0];
export type Publish = Parameters<PubSub["publish"]>[0];

/** How a client differs from what it is a client of; made anew for each component that is opened. */
export type Change = (pubsub: PubSub) => Partial<PubSub>;

/** A pubsub that outlives its clients, as a broker does. */
export async function openPubSub(clock: Clock): Promise<PubSub> {
  const { blocks } = await startComponent(memory, {}, { clock });
  return { ...(blocks.pubsub as PubSub), durability: "HOST" };
}

/** A component over such a pubsub: closing it hands back what its consumers hold. What it does differs as `change` says. */
export function clientOf(pubsub: PubSub, change: Change = () => ({})): Component {
  const changed = { ...pubsub, ...change(pubsub) };
  const sources = new Set<DeliverySource>();
  const client: PubSub = {
    ...changed,
    consume(call) {
      const source = changed.consume(call);
      sources.add(source);
      return source;
    },
  };
  return {
    blocks: { pubsub: client },
    health: async () => {},
    async close() {
      for (const source of sources) await source.close();
    },
  };
}

/** Consumers that differ from those of `pubsub` as `change` says. */
export function withSources(
  pubsub: PubSub,
  change: (source: DeliverySource, call: GroupCall) => Partial<DeliverySource>,
): Pick<PubSub, "consume"> {
  return {
    consume(call) {
      const source = pubsub.consume(call);
      return { ...source, ...change(source, call) };
    },
  };
}

/** Consumers whose settlements are changed on their way. */
export function withSettlements(
  pubsub: PubSub,
  change: (settlement: Settlement) => Settlement,
): Pick<PubSub, "consume"> {
  return withSources(pubsub, (source) => ({ settle: (settlements) => source.settle(settlements.map(change)) }));
}

/** A pubsub to which events are changed on their way. */
export function withEntries(
  pubsub: PubSub,
  change: (entry: Publish["entries"][number]) => Publish["entries"][number],
): Pick<PubSub, "publish"> {
  return { publish: (call) => pubsub.publish({ ...call, entries: call.entries.map(change) }) };
}

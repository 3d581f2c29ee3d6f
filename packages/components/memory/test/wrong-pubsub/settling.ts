import type { DeliverySource } from "@mecha/component";
import { withSettlements, withSources } from "../pubsubs.js";
import type { Mutant } from "./mutant.js";

const acked = "never delivers again what was acked";
const leaseEnds = "delivers again, as another attempt, what was not settled before its lease ended";
const retried = "delivers again after the asked time what is to be tried again";
const released = "delivers again at once, at no cost of an attempt, what was released";
const closes = "hands back what a consumer holds when it closes";
const twice = "takes no settlement twice, of an unknown handle, or of another group";
const many = "settles many at once, each on its own";
const extended = "gives a delivery more time";

export const settlingMutants: readonly Mutant[] = [
  {
    name: "forgets acks",
    caught: [acked],
    change: (pubsub) =>
      withSettlements(pubsub, (one) =>
        one.type === "ack" ? { type: "retry", handle: one.handle, afterMs: 1_000, error: "" } : one,
      ),
  },
  {
    name: "does not count attempts",
    caught: [leaseEnds, retried],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        receive: async (call) => (await source.receive(call)).map((lease) => ({ ...lease, attempt: 1 })),
      })),
  },
  {
    name: "never ends a lease",
    caught: [leaseEnds],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        receive: (call) => source.receive({ ...call, leaseMs: call.leaseMs * 1_000 }),
      })),
  },
  {
    name: "counts every settlement",
    caught: [leaseEnds, twice],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        async settle(settlements) {
          await source.settle(settlements);
          return settlements.map(() => true);
        },
      })),
  },
  {
    name: "takes any group's handles",
    caught: [twice],
    change: (pubsub) => {
      const sources = new Set<DeliverySource>();
      return withSources(pubsub, (source) => {
        sources.add(source);
        return {
          async settle(settlements) {
            const outcomes = settlements.map(() => false);
            for (const one of sources) {
              for (const [index, counted] of (await one.settle(settlements)).entries()) outcomes[index] ||= counted;
            }
            return outcomes;
          },
        };
      });
    },
  },
  {
    name: "tries again at once what is to wait",
    caught: [retried],
    change: (pubsub) => withSettlements(pubsub, (one) => (one.type === "retry" ? { ...one, afterMs: 0 } : one)),
  },
  {
    name: "counts an attempt for what was released",
    caught: [released],
    change: (pubsub) =>
      withSettlements(pubsub, (one) =>
        one.type === "release" ? { type: "retry", handle: one.handle, afterMs: 0, error: "" } : one,
      ),
  },
  {
    name: "keeps what a closed consumer held until its lease ends",
    caught: [closes],
    change: (pubsub) => withSources(pubsub, () => ({ close: async () => {} })),
  },
  {
    name: "settles all or nothing",
    caught: [many],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        async settle(settlements) {
          const outcomes = await source.settle(settlements);
          return outcomes.map(() => outcomes.every(Boolean));
        },
      })),
  },
  {
    name: "only says that it gave more time",
    caught: [extended],
    change: (pubsub) => withSources(pubsub, () => ({ extend: (handles) => handles.map(() => true) })),
  },
];

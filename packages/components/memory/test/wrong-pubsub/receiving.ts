import { withSources } from "../pubsubs.js";
import type { Mutant } from "./mutant.js";

const asPublished = "delivers an event as it was published";
const bounds = "takes at most as many events and bytes as asked for, and always one";
const shares = "gives every group every event, and shares a group's events among its consumers";
const wakes = "wakes a consumer that waits, also from another process, and ends the wait when asked";

export const receivingMutants: readonly Mutant[] = [
  {
    name: "has handles that can be guessed",
    caught: [asPublished],
    change: (pubsub) =>
      withSources(pubsub, (source) => {
        const handles: string[] = [];
        return {
          async receive(call) {
            const leases = await source.receive(call);
            return leases.map((lease) => ({ ...lease, handle: String(handles.push(lease.handle)) }));
          },
        };
      }),
  },
  {
    name: "takes more bytes than it may",
    caught: [bounds],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        receive: (call) => source.receive({ ...call, maxBytes: Number.POSITIVE_INFINITY }),
      })),
  },
  {
    name: "takes more events than it may",
    caught: [shares],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({ receive: (call) => source.receive({ ...call, maxItems: 100 }) })),
  },
  {
    name: "takes nothing that is larger than what it may take",
    caught: [bounds],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        async receive(call) {
          const leases = await source.receive(call);
          const small = leases.filter(({ payload }) => payload.byteLength <= call.maxBytes);
          const large = leases.filter((lease) => !small.includes(lease));
          await source.settle(large.map(({ handle }) => ({ type: "release", handle })));
          return small;
        },
      })),
  },
  {
    name: "wakes nobody",
    caught: [wakes],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        async receive(call) {
          const leases = await source.receive({ ...call, signal: AbortSignal.abort() });
          if (leases.length > 0 || call.signal.aborted) return leases;
          await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
          return [];
        },
      })),
  },
  {
    name: "takes nothing for a caller that does not wait",
    caught: [wakes],
    change: (pubsub) =>
      withSources(pubsub, (source) => ({
        receive: async (call) => (call.signal.aborted ? [] : source.receive(call)),
      })),
  },
  {
    name: "loses what came to a wait that had ended",
    caught: [wakes],
    change: (pubsub) =>
      withSources(pubsub, (source) => {
        let lost = 0;
        return {
          async receive(call) {
            const leases = await source.receive(call);
            if (leases.length > 0 || lost > 0) return leases;
            lost += 1;
            void source.receive({ ...call, signal: new AbortController().signal });
            return [];
          },
        };
      }),
  },
];

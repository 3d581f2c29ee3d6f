import type { DeliverySource, PubSub } from "@mecha/component";
import { withEntries, withSettlements, withSources } from "../pubsubs.js";
import { type Mutant, turn } from "./mutant.js";

const asPublished = "delivers an event as it was published";
const acked = "never delivers again what was acked";
const leaseEnds = "delivers again, as another attempt, what was not settled before its lease ended";
const retried = "delivers again after the asked time what is to be tried again";
const released = "delivers again at once, at no cost of an attempt, what was released";
const closes = "hands back what a consumer holds when it closes";
const bounds = "takes at most as many events and bytes as asked for, and always one";
const shares = "gives every group every event, and shares a group's events among its consumers";
const twice = "takes no settlement twice, of an unknown handle, or of another group";
const many = "settles many at once, each on its own";
const extended = "gives a delivery more time";
const wakes = "wakes a consumer that waits, also from another process, and ends the wait when asked";
const apart = "keeps topics and keyspaces apart";
const nothingLost = "loses nothing and repeats nothing with many publishers and consumers at once";
const metadata = "refuses metadata that it does not know, and with it what follows by its key";

/** Every call with another topic, group or keyspace. */
function renamed(pubsub: PubSub, names: { keyspace?: string; topic?: string; group?: string }): Partial<PubSub> {
  const { group: _, ...place } = names;
  const entry = place.topic === undefined ? {} : { topic: place.topic };
  return {
    publish: (call) =>
      pubsub.publish({ ...call, ...place, entries: call.entries.map((one) => ({ ...one, ...entry })) }),
    openGroup: (call) => pubsub.openGroup({ ...call, ...names }),
    consume: (call) => pubsub.consume({ ...call, ...names }),
  };
}

export const deliveryMutants: readonly Mutant[] = [
  {
    name: "cuts events",
    caught: ["takes events up to its limit"],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, payload: entry.payload.slice(0, 1_000_000) })),
  },
  {
    name: "loses ordering keys",
    caught: [asPublished],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, orderingKey: "" })),
  },
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
    name: "forgets what nobody consumes for",
    caught: ["keeps what is published for a group that nobody consumes for"],
    change: (pubsub) => ({
      consume(call) {
        const settings = pubsub.settingsOf(call);
        if (settings === undefined || settings instanceof Promise) throw new Error("it was not opened");
        pubsub.deleteGroup(call);
        pubsub.openGroup({ ...call, settings, defaults: settings, update: false });
        return pubsub.consume(call);
      },
    }),
  },
  {
    name: "gives each consumer every event",
    caught: [shares],
    change: (pubsub) => {
      let consumers = 0;
      const places = new Map<string, string>();
      return {
        openGroup: (call) => {
          const group = `${call.group}.${++consumers}.${Math.random()}`;
          places.set(call.group, group);
          return pubsub.openGroup({ ...call, group });
        },
        consume: (call) => pubsub.consume({ ...call, group: places.get(call.group) ?? call.group }),
      };
    },
  },
  {
    name: "has one group for all",
    caught: [shares],
    change: (pubsub) => renamed(pubsub, { group: "one" }),
  },
  {
    name: "has one topic",
    caught: [apart],
    change: (pubsub) => renamed(pubsub, { topic: "one" }),
  },
  {
    name: "has one keyspace",
    caught: [apart],
    change: (pubsub) => renamed(pubsub, { keyspace: "one" }),
  },
  {
    name: "gives a new group what was published before",
    caught: ["begins a group with what is published after it was opened"],
    change: (pubsub) => ({
      async openGroup({ settings, ...call }) {
        const changed = settings && { ...settings, start: { type: "earliest" } as const };
        const opened = await pubsub.openGroup({ ...call, settings: changed });
        return { ...opened, start: settings?.start ?? opened.start };
      },
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
  {
    name: "loses an event when two are published at once",
    caught: [nothingLost],
    change: (pubsub) => {
      let publishing = 0;
      return {
        async publish(call) {
          publishing += 1;
          const isAlone = publishing === 1;
          await turn();
          publishing -= 1;
          return isAlone ? pubsub.publish(call) : call.entries.map(() => ({ type: "published", duplicate: false }));
        },
      };
    },
  },
  {
    name: "publishes now and then twice",
    caught: [nothingLost],
    change: (pubsub) => {
      let count = 0;
      return {
        async publish(call) {
          const outcomes = await pubsub.publish(call);
          count += 1;
          if (count % 20 === 0) {
            await pubsub.publish({ ...call, entries: call.entries.map((one) => ({ ...one, id: `${one.id} again` })) });
          }
          return outcomes;
        },
      };
    },
  },
  {
    name: "ignores metadata",
    caught: [metadata],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, metadata: {} })),
  },
  {
    name: "publishes what follows a failed event by its key",
    caught: [metadata],
    change: (pubsub) => ({
      async publish(call) {
        const outcomes = [];
        for (const entry of call.entries) outcomes.push(...(await pubsub.publish({ ...call, entries: [entry] })));
        return outcomes;
      },
    }),
  },
];

import type { GroupSettings, PubSub } from "@mecha/component";
import { withEntries, withSettlements, withSources } from "../pubsubs.js";
import { type Mutant, turn } from "./mutant.js";

const oneAtATime = "delivers the events of one key in order, one at a time";
const orderOfEach = "keeps the order of each key with several consumers and concurrent publishers";
const heldBack = "holds back a key while its event is tried again, and lets others go";
const goesOn = "goes on with a key when its event is given up, and keeps its order when a lease ends";
const heldBackCounts = "counts what is held back by its key";
const delayed = "delivers a delayed event when it is due, and others before it";
const expired = "drops an event that was not delivered in time";
const earliest = "begins a group with the oldest event that is retained";
const fromTime = "begins a group with a time";
const once = "stores the same source and id once, and says so";
const onceAtATime = "stores one of many that are published at the same time";
const forgets = "forgets a source and id after 10 minutes";

/** Groups that are opened otherwise than they say. */
function withGroups(pubsub: PubSub, change: (settings: GroupSettings) => GroupSettings): Pick<PubSub, "openGroup"> {
  return {
    async openGroup({ settings, ...call }) {
      await pubsub.openGroup({ ...call, settings: settings && change(settings) });
      return settings ?? call.defaults;
    },
  };
}

/** Publishes every event, whatever was published before, and says what `isDuplicate` says. */
function withOwnIds(
  pubsub: PubSub,
  isDuplicate: (name: string) => Promise<boolean> | boolean,
): Pick<PubSub, "publish"> {
  let events = 0;
  return {
    async publish(call) {
      const outcomes = [];
      for (const entry of call.entries) {
        const duplicate = await isDuplicate(`${entry.topic} ${entry.source} ${entry.id}`);
        const own = { ...entry, id: `own-${Math.random()}-${++events}` };
        if (!duplicate) await pubsub.publish({ ...call, entries: [own] });
        outcomes.push({ type: "published" as const, duplicate });
      }
      return outcomes;
    },
  };
}

export const featureMutants: readonly Mutant[] = [
  {
    name: "keeps no order",
    caught: [oneAtATime, orderOfEach, heldBack, heldBackCounts],
    change: (pubsub) => withGroups(pubsub, (settings) => ({ ...settings, ordered: false })),
  },
  {
    name: "holds back every event for one",
    caught: [heldBack],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, orderingKey: "one" })),
  },
  {
    name: "publishes anew what is to be tried again",
    caught: [heldBack, "delivers again after the asked time what is to be tried again"],
    change: (pubsub) =>
      withSources(pubsub, (source, { keyspace, topic }) => {
        const payloads = new Map<string, Uint8Array>();
        return {
          async receive(call) {
            const leases = await source.receive(call);
            for (const { handle, payload } of leases) payloads.set(handle, payload);
            return leases;
          },
          async settle(settlements) {
            for (const one of settlements) {
              const payload = payloads.get(one.handle);
              if (one.type !== "retry" || payload === undefined) continue;
              const id = String(Math.random());
              const rest = { topic, source: "", id, orderingKey: "a", ttlMs: undefined, metadata: {} };
              await pubsub.publish({ keyspace, entries: [{ ...rest, payload, delayMs: one.afterMs }] });
            }
            return source.settle(settlements.map((one) => (one.type === "retry" ? { ...one, type: "ack" } : one)));
          },
        };
      }),
  },
  {
    name: "stops at an event that is given up",
    caught: [goesOn, "keeps what a group gave up, and nowhere else"],
    change: (pubsub) =>
      withSettlements(pubsub, (one) =>
        one.type === "dead" ? { type: "retry", handle: one.handle, afterMs: 10 ** 9, error: one.error } : one,
      ),
  },
  {
    name: "puts an event whose lease ended behind the others of its key",
    caught: [goesOn],
    change: (pubsub) =>
      withSources(pubsub, (source) => {
        let isSecond = false;
        return {
          async receive(call) {
            const leases = await source.receive(call);
            const again = leases.filter(({ attempt }) => attempt > 1);
            if (again.length === 0 || isSecond) return leases;
            isSecond = true;
            await source.settle(again.map(({ handle }) => ({ type: "dead", handle, error: "" })));
            return source.receive(call);
          },
        };
      }),
  },
  {
    name: "ignores delays",
    caught: [delayed],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, delayMs: 0 })),
  },
  {
    name: "holds back everything behind a delayed event",
    caught: [delayed],
    change: (pubsub) => {
      let longest = 0;
      return withEntries(pubsub, (entry) => {
        longest = Math.max(longest, entry.delayMs);
        return { ...entry, delayMs: longest };
      });
    },
  },
  {
    name: "ignores times to live",
    caught: [expired],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, ttlMs: undefined })),
  },
  {
    name: "has one time to live for all",
    caught: [expired],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, ttlMs: 300 })),
  },
  {
    name: "begins every group now",
    caught: [earliest, fromTime],
    change: (pubsub) => withGroups(pubsub, (settings) => ({ ...settings, start: { type: "new" } })),
  },
  {
    name: "takes a time for the beginning",
    caught: [fromTime],
    change: (pubsub) =>
      withGroups(pubsub, (settings) =>
        settings.start.type === "time" ? { ...settings, start: { type: "earliest" } } : settings,
      ),
  },
  {
    name: "stores duplicates",
    caught: [once, onceAtATime],
    change: (pubsub) => withOwnIds(pubsub, () => false),
  },
  {
    name: "knows events by their id alone",
    caught: [once],
    change: (pubsub) => withEntries(pubsub, (entry) => ({ ...entry, source: "one" })),
  },
  {
    name: "looks for duplicates before it stores instead of while",
    caught: [onceAtATime],
    change: (pubsub) => {
      const seen = new Set<string>();
      return withOwnIds(pubsub, async (name) => {
        const isKnown = seen.has(name);
        await turn();
        seen.add(name);
        return isKnown;
      });
    },
  },
  {
    name: "never forgets an id",
    caught: [forgets],
    change: (pubsub) => {
      const seen = new Set<string>();
      return withOwnIds(pubsub, (name) => {
        const isKnown = seen.has(name);
        seen.add(name);
        return isKnown;
      });
    },
  },
];

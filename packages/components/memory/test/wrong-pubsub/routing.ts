import type { PubSub } from "@mecha/component";
import type { Mutant } from "./mutant.js";

const shares = "gives every group every event, and shares a group's events among its consumers";
const apart = "keeps topics and keyspaces apart";

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

export const routingMutants: readonly Mutant[] = [
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
];

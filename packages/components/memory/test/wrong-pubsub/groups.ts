import { withSettlements, withSources } from "../pubsubs.js";
import type { Mutant } from "./mutant.js";

const firstOpen = "gives a group the settings of its first open, and refuses others";
const defaults = "gives a group that is opened without settings the defaults";
const onlyOpened = "tells of a group only once it was opened";
const began = "never changes where a group began";
const gaveUp = "keeps what a group gave up, and nowhere else";
const paged = "lists dead letters oldest first, page by page";
const requeued = "delivers requeued dead letters with a fresh count of attempts, and forgets dropped ones";
const deleted = "forgets a deleted group, and begins anew when it is opened again";
const counted = "counts what a group has waiting and leased, and not its dead letters";

export const groupMutants: readonly Mutant[] = [
  {
    name: "declares what its configuration does not back",
    caught: ["declares the features and the durability that its configuration backs"],
    change: () => ({ durability: "REPLICATED" }),
  },
  {
    name: "gives a group the settings of its last open",
    caught: [firstOpen],
    change: (pubsub) => ({ openGroup: (call) => pubsub.openGroup({ ...call, update: true }) }),
  },
  {
    name: "never changes a group's settings",
    caught: [firstOpen],
    change: (pubsub) => ({ openGroup: (call) => pubsub.openGroup({ ...call, update: false }) }),
  },
  {
    name: "has defaults of its own",
    caught: [defaults],
    change: (pubsub) => ({
      openGroup: (call) => pubsub.openGroup({ ...call, defaults: { ...call.defaults, maxAttempts: 1 } }),
    }),
  },
  {
    name: "makes a group when it is asked for",
    caught: [onlyOpened],
    change: (pubsub) => ({
      settingsOf(call) {
        const settings = {
          filter: "",
          ordered: false,
          start: { type: "new" },
          maxAttempts: 10,
          minBackoffMs: 1_000,
          maxBackoffMs: 300_000,
          ackTimeoutMs: 30_000,
        } as const;
        return pubsub.openGroup({ ...call, settings: undefined, defaults: settings, update: false });
      },
    }),
  },
  {
    name: "begins a group anew when its settings change",
    caught: [began],
    change: (pubsub) => ({
      async openGroup(call) {
        if (call.update) await pubsub.deleteGroup(call);
        return pubsub.openGroup(call);
      },
    }),
  },
  {
    name: "drops what is given up",
    caught: [gaveUp, paged, requeued],
    change: (pubsub) =>
      withSettlements(pubsub, (one) => (one.type === "dead" ? { type: "ack", handle: one.handle } : one)),
  },
  {
    name: "forgets why something was given up",
    caught: [gaveUp],
    change: (pubsub) => withSettlements(pubsub, (one) => (one.type === "dead" ? { ...one, error: "" } : one)),
  },
  {
    name: "lists the newest dead letter first",
    caught: [paged],
    change: (pubsub) => ({
      async listDeadLetters(call) {
        const page = await pubsub.listDeadLetters(call);
        return { ...page, deadLetters: page.deadLetters.toReversed() };
      },
    }),
  },
  {
    name: "ignores the size of a page",
    caught: [paged],
    change: (pubsub) => ({
      listDeadLetters: (call) => pubsub.listDeadLetters({ ...call, limit: 1_000, maxBytes: Number.POSITIVE_INFINITY }),
    }),
  },
  {
    name: "goes on counting attempts after a requeue",
    caught: [requeued],
    change: (pubsub) => {
      let requeues = 0;
      return {
        requeueDeadLetters(call) {
          requeues += 1;
          return pubsub.requeueDeadLetters(call);
        },
        ...withSources(pubsub, (source) => ({
          receive: async (call) =>
            (await source.receive(call)).map((lease) => ({ ...lease, attempt: lease.attempt + requeues })),
        })),
      };
    },
  },
  {
    name: "only says that it dropped dead letters",
    caught: [requeued],
    change: () => ({ dropDeadLetters: ({ ids }) => ids?.length ?? 0 }),
  },
  {
    name: "only says that it deleted a group",
    caught: [deleted],
    change: (pubsub) => {
      const gone = new Set<string>();
      return {
        deleteGroup({ group }) {
          const isKnown = !gone.has(group) && group !== "";
          gone.add(group);
          return isKnown;
        },
        settingsOf: (call) => (gone.has(call.group) ? undefined : pubsub.settingsOf(call)),
      };
    },
  },
  {
    name: "counts what waits, and not what is leased",
    caught: [counted, "counts what is held back by its key"],
    change: (pubsub) => {
      let leased = 0;
      return {
        backlog: async (call) => (await pubsub.backlog(call)) - leased,
        ...withSources(pubsub, (source) => ({
          async receive(call) {
            const leases = await source.receive(call);
            leased += leases.length;
            return leases;
          },
        })),
      };
    },
  },
  {
    name: "counts dead letters as waiting",
    caught: [counted],
    change: (pubsub) => ({
      async backlog(call) {
        const { deadLetters } = await pubsub.listDeadLetters({
          ...call,
          after: undefined,
          limit: 100,
          maxBytes: 10 ** 6,
        });
        return (await pubsub.backlog(call)) + deadLetters.length;
      },
    }),
  },
];

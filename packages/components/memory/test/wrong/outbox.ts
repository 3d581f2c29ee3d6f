import type { PubSub, StatePublish, StateStore } from "@mecha/component";
import { type Mutant, turn, type WriteCall } from "./mutant.js";

const plain = "outbox: an event of a transaction is delivered as one that was published, together with what it wrote";
const refusedPublishesNothing = "outbox: a transaction that is refused publishes nothing";
const badEvent = "outbox: an event that cannot be published refuses the whole transaction and is named";
const onlyPublishes = "outbox: a transaction may publish and do nothing else";
const sentAgain = "outbox: a request that is sent again publishes nothing more";
const wakes = "outbox: wakes a consumer that waits, also in another process";
const inOrder = "outbox: events come in the order of their transactions, and of their operations within one";
const manyWriters = "outbox: with many writers at once every committed transaction has its event, and no other has";
const counted = "outbox: keeps what is published for a group that nobody consumes for, and counts it exactly";
const keyspaces = "outbox: keeps the keyspaces of its events apart, those of the state among them";
const limits = "outbox: takes events up to the limit, and a transaction full of them";
const dedup = "outbox: stores the same source and id once, however it was published";
const delays = "outbox: delays an event";
const drops = "outbox: drops an event that is past its time";

/** Publishes as an app would that has no outbox. */
async function publishAll(pubsub: PubSub, publishes: readonly StatePublish[] = []): Promise<void> {
  for (const { keyspace, entry } of publishes) await pubsub.publish({ keyspace, entries: [entry] });
}

const alone = ({ publishes: _, ...call }: WriteCall): WriteCall => call;

/** A write whose events are changed on their way. */
function withPublishes(
  store: StateStore,
  change: (publishes: readonly StatePublish[], call: WriteCall) => readonly StatePublish[],
): StateStore["write"] {
  return (call) => store.write({ ...call, publishes: change(call.publishes ?? [], call) });
}

const eachEntry = (store: StateStore, change: (entry: StatePublish["entry"]) => StatePublish["entry"]) =>
  withPublishes(store, (publishes) => publishes.map((one) => ({ ...one, entry: change(one.entry) })));

export const outboxMutants: readonly Mutant[] = [
  {
    name: "publishes, then writes",
    caught: [plain, refusedPublishesNothing, badEvent, sentAgain, manyWriters],
    change: (store, pubsub) => ({
      async write(call) {
        await publishAll(pubsub, call.publishes);
        await turn();
        return store.write(alone(call));
      },
    }),
  },
  {
    name: "writes, then publishes, also when it was refused or sent again",
    caught: [refusedPublishesNothing, badEvent, sentAgain, manyWriters],
    change: (store, pubsub) => ({
      async write(call) {
        try {
          return await store.write(alone(call));
        } finally {
          await publishAll(pubsub, call.publishes);
        }
      },
    }),
  },
  {
    name: "leaves out events that it cannot publish",
    caught: [badEvent],
    change: (store) => ({
      write: withPublishes(store, (publishes) =>
        publishes.filter(({ entry }) => Object.keys(entry.metadata).length === 0),
      ),
    }),
  },
  {
    name: "takes a transaction without operations for one without anything",
    caught: [onlyPublishes],
    change: (store) => ({ write: (call) => (call.operations.length === 0 ? [] : store.write(call)) }),
  },
  {
    name: "publishes with the next transaction",
    caught: [plain, onlyPublishes, wakes],
    change: (store) => {
      let waiting: readonly StatePublish[] = [];
      return {
        write: withPublishes(store, (publishes) => {
          const due = waiting;
          waiting = publishes;
          return due;
        }),
      };
    },
  },
  {
    name: "publishes in another order",
    caught: [inOrder],
    change: (store) => ({ write: withPublishes(store, (publishes) => publishes.toReversed()) }),
  },
  {
    name: "loses ordering keys",
    caught: [plain],
    change: (store) => ({ write: eachEntry(store, (entry) => ({ ...entry, orderingKey: "" })) }),
  },
  {
    name: "publishes the first event only",
    caught: [counted, inOrder, limits],
    change: (store) => ({ write: withPublishes(store, (publishes) => publishes.slice(0, 1)) }),
  },
  {
    name: "publishes into the keyspace of the state",
    caught: [keyspaces, plain],
    change: (store) => ({
      write: withPublishes(store, (publishes, { keyspace }) => publishes.map((one) => ({ ...one, keyspace }))),
    }),
  },
  {
    name: "cuts events",
    caught: [limits],
    change: (store) => ({
      write: eachEntry(store, (entry) => ({ ...entry, payload: entry.payload.slice(0, 1_000_000) })),
    }),
  },
  {
    name: "gives events ids of its own",
    caught: [dedup],
    change: (store) => {
      let events = 0;
      return { write: eachEntry(store, (entry) => ({ ...entry, id: `own-${++events}` })) };
    },
  },
  {
    name: "ignores delays",
    caught: [delays],
    change: (store) => ({ write: eachEntry(store, (entry) => ({ ...entry, delayMs: 0 })) }),
  },
  {
    name: "ignores times to live",
    caught: [drops],
    change: (store) => ({ write: eachEntry(store, (entry) => ({ ...entry, ttlMs: undefined })) }),
  },
];

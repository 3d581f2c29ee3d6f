import { withEntries } from "../pubsubs.js";
import { type Mutant, turn } from "./mutant.js";

const asPublished = "delivers an event as it was published";
const nothingLost = "loses nothing and repeats nothing with many publishers and consumers at once";
const metadata = "refuses metadata that it does not know, and with it what follows by its key";

export const publishingMutants: readonly Mutant[] = [
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

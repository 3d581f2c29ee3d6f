import { ComponentError, defineComponent, type InputDescription } from "@mecha/component";
import { config } from "./config.js";
import { createJournal } from "./journal.js";
import { createSchedule } from "./schedule.js";
import { createCronSource } from "./source.js";

const events: InputDescription = {
  description: "It is time.",
  metadata: [
    { name: "schedule", type: "string", required: true, description: "The schedule." },
    { name: "timeZone", type: "string", required: true, description: "The time zone that it is in." },
    {
      name: "skipped",
      type: "integer",
      required: true,
      description: "How many firings before this one nobody took and nobody will: 0 to 1000.",
    },
  ],
};

/** Events at times, once for all replicas of an app. */
export const cron = defineComponent({
  type: "cron",
  description: "Events at times, once for all replicas of an app.",
  config,
  serves: { binding: { features: ["INPUT"], operations: [], input: events } },
  needsStore: ["TRANSACT", "TTL"],
  async create(options, { clock, store }) {
    if (store === undefined) throw new ComponentError("COMPONENT_UNAVAILABLE", "it needs a state store beside it");
    const closing = new AbortController();
    const context = { config: options, schedule: createSchedule(options), clock, closed: closing.signal };
    const input = {
      ...events,
      consume: ({ keyspace }: { keyspace: string }) => createCronSource(context, createJournal(store, keyspace)),
    };
    return {
      blocks: { binding: { features: ["INPUT"], operations: [], maxDataBytes: 0, input } },
      // Its store says itself how it is.
      async health() {},
      async close() {
        closing.abort();
      },
    };
  },
});

export default cron;

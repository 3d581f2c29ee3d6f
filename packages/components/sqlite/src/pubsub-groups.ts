import type { DatabaseSync } from "node:sqlite";
import type { GroupStart } from "@mecha/component";
import type { JobHandlers } from "./jobs.js";
import type { PubSubJobs } from "./pubsub-jobs.js";
import type { Topics } from "./pubsub-topics.js";

type Handlers = JobHandlers<Pick<PubSubJobs, "pubsub.open" | "pubsub.delete">>;

/** The groups of a topic. */
export function createGroupHandlers(db: DatabaseSync, topics: Topics): Handlers {
  const lastSequence = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'pubsub_event'");
  const nextEvent = db.prepare(
    "SELECT seq, publish_time FROM pubsub_event WHERE topic = ? AND seq >= ? ORDER BY seq LIMIT 1",
  );
  const findGroup = db.prepare("SELECT id, settings FROM pubsub_group WHERE topic = ? AND name = ?");
  const addGroup = db.prepare(
    "INSERT INTO pubsub_group (topic, name, settings, ordered, cursor) VALUES (?, ?, ?, ?, ?)",
  );
  const changeGroup = db.prepare("UPDATE pubsub_group SET settings = ? WHERE id = ?");
  // The row stays, without a name and past every event: its id is never given to another group, which consumers that know it would take from.
  const endGroup = db.prepare(
    `UPDATE pubsub_group SET name = ' ' || id, settings = '', cursor = ${Number.MAX_SAFE_INTEGER} WHERE id = ?`,
  );
  const removeDeliveries = db.prepare("DELETE FROM pubsub_delivery WHERE group_id = ?");

  /** After which event a new group begins. */
  function cursorAt(topic: number, start: GroupStart): number {
    const last = Number(lastSequence.get()?.seq ?? 0);
    switch (start.type) {
      case "new":
        return last;
      case "earliest":
        return 0;
      case "time": {
        // Times of publishing rise with the sequence, so the first event of a time is found in some 50 steps, however many there are.
        let [from, to] = [1, last + 1];
        while (from < to) {
          const middle = Math.floor((from + to) / 2);
          const event = nextEvent.get(topic, middle);
          if (event === undefined || Number(event.publish_time) >= start.time) to = middle;
          else from = Number(event.seq) + 1;
        }
        return from - 1;
      }
    }
  }

  return {
    "pubsub.open"({ call, settings, replaces }) {
      const topic = topics.make(call.keyspace, call.topic);
      const group = findGroup.get(topic, call.group);
      if ((group?.settings ?? null) !== replaces) return false;
      const text = JSON.stringify(settings);
      if (group !== undefined) changeGroup.run(text, Number(group.id));
      else addGroup.run(topic, call.group, text, Number(settings.ordered), cursorAt(topic, settings.start));
      return true;
    },

    "pubsub.delete"({ call }) {
      const topic = topics.find(call.keyspace, call.topic);
      const group = topic === undefined ? undefined : findGroup.get(topic, call.group);
      if (group === undefined) return false;
      endGroup.run(Number(group.id));
      removeDeliveries.run(Number(group.id));
      return true;
    },
  };
}

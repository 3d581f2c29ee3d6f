import type { DatabaseSync } from "node:sqlite";

/** The topics that the file knows. */
export interface Topics {
  find(keyspace: string, name: string): number | undefined;
  /** The id of a topic, which is made if it is new. */
  make(keyspace: string, name: string): number;
}

/** Makes {@link Topics} over the writer's connection. */
export function createTopics(db: DatabaseSync): Topics {
  const find = db.prepare("SELECT id FROM pubsub_topic WHERE keyspace = ? AND name = ?");
  const add = db.prepare("INSERT INTO pubsub_topic (keyspace, name) VALUES (?, ?)");
  const topics: Topics = {
    find(keyspace, name) {
      const known = find.get(keyspace, name);
      return known && Number(known.id);
    },
    make: (keyspace, name) => topics.find(keyspace, name) ?? Number(add.run(keyspace, name).lastInsertRowid),
  };
  return topics;
}

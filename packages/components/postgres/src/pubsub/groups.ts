import { type GroupCall, type GroupSettings, type GroupStart, type PubSub, requireSameGroup } from "@mecha/component";
import type { Connection, Row } from "../connection.js";
import type { Topics } from "./topics.js";

/** A group as it is stored. */
export interface StoredGroup {
  readonly id: number;
  readonly topic: number;
  readonly isOrdered: boolean;
  readonly settings: GroupSettings;
}

type OpenCall = Parameters<PubSub["openGroup"]>[0];

/** A publish whose commit took longer than this, in ms, may be missed by a group that starts with a time just before. */
const longestCommitMs = 60_000;

/** Opening a group again finds what an attempt whose answer was lost has done, so that it is sent again as a read is. */
const repeatable = "read";

/** The groups of the topics. */
export function createGroups(connection: Pick<Connection, "schema" | "query">, topics: Topics) {
  const statements = groupStatements(connection.schema);

  async function find({ keyspace, topic, group }: GroupCall, signal?: AbortSignal): Promise<StoredGroup | undefined> {
    const [row] = await connection.query(statements.find, [keyspace, topic, group], { effect: "read", signal });
    return row && toGroup(row);
  }

  /** Stores a new group; false if there is one by now. */
  async function add(call: GroupCall, settings: GroupSettings, signal: AbortSignal | undefined): Promise<boolean> {
    const topic = await topics.idOf(call.keyspace, call.topic);
    const { ordered, start } = settings;
    const values = [topic, call.group, JSON.stringify(settings), String(ordered), ...(await beginningOf(topic, start))];
    return (await connection.query(statements.add, values, { effect: repeatable, signal })).length > 0;
  }

  /** After which event a new group begins (null: the last one that there is), and the time that begins it, if one does. */
  async function beginningOf(topic: number, start: GroupStart): Promise<[cursor: string | null, since: number | null]> {
    switch (start.type) {
      case "new":
        return [null, null];
      case "earliest":
        return ["0", null];
      case "time": {
        const before = await cursorBefore(topic, start.time - longestCommitMs);
        return [before, start.time];
      }
    }
  }

  /** An event before which all are older than a time, found in some 60 steps, however many there are. */
  async function cursorBefore(topic: number, time: number): Promise<string> {
    const [row] = await connection.query(statements.bounds, [topic], { effect: "read" });
    let [from, to] = [BigInt(row?.[0] ?? 0), BigInt(row?.[1] ?? 0)];
    while (from < to) {
      const middle = (from + to) / 2n;
      const [event] = await connection.query(statements.nextAfter, [topic, String(middle)], { effect: "read" });
      if (event === undefined || Number(event[1]) >= time) to = middle;
      else from = BigInt(event[0] ?? 0);
    }
    return String(from);
  }

  return {
    find,

    async open({ settings, defaults, update, signal, ...call }: OpenCall): Promise<GroupSettings> {
      for (;;) {
        const stored = await find(call, signal);
        if (stored === undefined) {
          const wanted = settings ?? defaults;
          // If not, another runtime was faster: what it stored counts.
          if (await add(call, wanted, signal)) return wanted;
          continue;
        }
        if (settings === undefined) return stored.settings;
        requireSameGroup(call.group, stored.settings, settings, update);
        if (!update) return stored.settings;
        const values = [stored.id, JSON.stringify(settings), JSON.stringify(stored.settings)];
        const changed = await connection.query(statements.change, values, { effect: repeatable, signal });
        if (changed.length > 0) return settings;
      }
    },

    async delete(call: GroupCall): Promise<boolean> {
      const group = await find(call);
      if (group === undefined) return false;
      const [row] = await connection.query(statements.delete, [group.id], { effect: "write" });
      return row?.[0] === "t";
    },

    async backlog(call: GroupCall): Promise<number> {
      const group = await find(call);
      if (group === undefined) return 0;
      const [row] = await connection.query(statements.backlog, [group.id], { effect: "read" });
      return Number(row?.[0] ?? 0);
    },
  };
}

const toGroup = ([id, topic, ordered, settings]: Row): StoredGroup => ({
  id: Number(id),
  topic: Number(topic),
  isOrdered: ordered === "t",
  settings: JSON.parse(settings ?? ""),
});

function groupStatements(schema: string) {
  return {
    find: {
      name: "pubsub_group",
      text: `
        SELECT g.id, g.topic, g.ordered, g.settings FROM ${schema}.pubsub_group g
          WHERE g.topic = (SELECT t.id FROM ${schema}.pubsub_topic t WHERE t.keyspace = $1 AND t.name = $2) AND g.name = $3`,
    },
    add: {
      name: "pubsub_group_add",
      text: `
        INSERT INTO ${schema}.pubsub_group (topic, name, settings, ordered, cursor, since)
          SELECT $1, $2, $3, $4::boolean, coalesce($5::bigint, last_value), to_timestamp($6::float8 / 1000) FROM ${schema}.pubsub_seq
          ON CONFLICT (topic, name) DO NOTHING RETURNING id`,
    },
    change: {
      name: "pubsub_group_change",
      text: `UPDATE ${schema}.pubsub_group SET settings = $2 WHERE id = $1 AND settings = $3 RETURNING id`,
    },
    delete: { name: "pubsub_group_delete", text: `SELECT ${schema}.pubsub_delete_group($1)` },
    bounds: {
      name: "pubsub_bounds",
      text: `
        SELECT coalesce(min(seq) - 1, 0), coalesce(max(seq), 0) FROM ${schema}.pubsub_event WHERE topic = $1`,
    },
    nextAfter: {
      name: "pubsub_next_after",
      text: `
        SELECT seq, extract(epoch FROM published) * 1000 FROM ${schema}.pubsub_event WHERE topic = $1 AND seq > $2 ORDER BY seq LIMIT 1`,
    },
    backlog: {
      name: "pubsub_backlog",
      text: `
        SELECT CASE WHEN g.since IS NULL THEN (
            SELECT count(*) FROM ${schema}.pubsub_event e WHERE e.topic = g.topic AND e.seq > g.cursor -- of the index alone
          ) ELSE (
            SELECT count(*) FROM ${schema}.pubsub_event e WHERE e.topic = g.topic AND e.seq > g.cursor AND e.published >= g.since
          ) END + (
            SELECT count(*) FROM ${schema}.pubsub_delivery d WHERE d.group_id = g.id AND d.due IS NOT NULL
          ) + (
            SELECT count(*) FROM ${schema}.pubsub_delivery d
              WHERE d.group_id = g.id AND d.ordering_key IS NOT NULL AND d.dead_id IS NULL AND d.due IS NULL
          ) FROM ${schema}.pubsub_group g WHERE g.id = $1`,
    },
  };
}

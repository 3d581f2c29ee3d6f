import type { DeadLetter, PubSub } from "@mecha/component";
import { encodeInt8s } from "../binary.js";
import type { Connection, Row } from "../connection.js";
import type { StoredGroup } from "./groups.js";
import { parseDeadLetterId, toDeadLetterId } from "./handles.js";

/** How many dead letters are taken out in one transaction. */
const exhumeLimit = 500;

type Page = Pick<Parameters<PubSub["listDeadLetters"]>[0], "after" | "limit" | "maxBytes">;

/** What groups gave up. */
export function createDeadLetters(connection: Pick<Connection, "schema" | "query">) {
  const { schema } = connection;
  const statements = {
    // Up to the limit of bytes, but one at least; `found` tells whether there is more. Sizes are known without reading the payloads.
    list: {
      name: "pubsub_dead",
      text: `
        WITH page AS MATERIALIZED (
          SELECT d.dead_id, d.seq, d.attempts, d.last_error, d.dead_time FROM ${schema}.pubsub_delivery d
            WHERE d.group_id = $1 AND d.dead_id IS NOT NULL AND d.dead_id > $3::bigint ORDER BY d.dead_id LIMIT $4::integer + 1
        ), sized AS (
          SELECT page.*, e.ordering_key, e.payload, sum(octet_length(e.payload)) OVER (ORDER BY dead_id) AS total,
              row_number() OVER (ORDER BY dead_id) AS number, count(*) OVER () AS found
            FROM page JOIN ${schema}.pubsub_event e ON e.topic = $2 AND e.seq = page.seq
        )
        SELECT dead_id, payload, ordering_key, attempts, last_error, extract(epoch FROM dead_time) * 1000, found FROM sized
          WHERE number <= $4::integer AND (total <= $5::bigint OR number = 1) ORDER BY dead_id`,
    },
    last: {
      name: "pubsub_last_dead",
      text: `SELECT max(dead_id) FROM ${schema}.pubsub_delivery WHERE group_id = $1 AND dead_id IS NOT NULL`,
    },
    exhume: { name: "pubsub_exhume", text: `SELECT ${schema}.pubsub_exhume($1, $2, $3, $4, $5)` },
  };

  async function exhume(group: StoredGroup, ids: readonly string[] | null, upTo: string, requeue: boolean) {
    const values = [group.id, ids && encodeInt8s(ids), upTo, exhumeLimit, String(requeue)];
    const [row] = await connection.query(statements.exhume, values, { effect: "write" });
    return Number(row?.[0] ?? 0);
  }

  return {
    async list(
      group: StoredGroup,
      { after, limit, maxBytes }: Page,
    ): Promise<{ deadLetters: DeadLetter[]; more: boolean }> {
      const from = after === undefined ? "0" : parseDeadLetterId(after);
      if (from === undefined) return { deadLetters: [], more: false };
      const rows = await connection.query(statements.list, [group.id, group.topic, from, limit, maxBytes], {
        effect: "read",
      });
      return { deadLetters: rows.map(toDeadLetter), more: Number(rows[0]?.[6] ?? 0) > rows.length };
    },

    /** Takes dead letters out in transactions of a bounded size, to deliver them again or to forget them; how many there were. */
    async takeOut(group: StoredGroup, ids: readonly string[] | undefined, requeue: boolean): Promise<number> {
      let count = 0;
      if (ids !== undefined) {
        const known = ids.map(parseDeadLetterId).filter((id) => id !== undefined);
        for (let at = 0; at < known.length; at += exhumeLimit) {
          count += await exhume(group, known.slice(at, at + exhumeLimit), "0", requeue);
        }
        return count;
      }
      // Those that are dead now; what is given up meanwhile is not among them.
      const [row] = await connection.query(statements.last, [group.id], { effect: "read" });
      const last = row?.[0];
      if (last == null) return 0;
      for (;;) {
        const taken = await exhume(group, null, last, requeue);
        count += taken;
        if (taken < exhumeLimit) return count;
      }
    },
  };
}

const toDeadLetter = ([id, payload, orderingKey, attempts, lastError, time]: Row): DeadLetter => ({
  id: toDeadLetterId(id ?? ""),
  payload: Buffer.from((payload ?? "").slice(2), "hex"),
  orderingKey: orderingKey ?? "",
  attempts: Number(attempts),
  lastError: lastError ?? "",
  time: Math.round(Number(time)),
});

import type { Settlement } from "@mecha/component";
import { Batcher } from "../batcher.js";
import { decodePlainArray, encodeInt4s, encodeInt8s, encodeTexts, encodeUuids } from "../binary.js";
import type { Connection } from "../connection.js";
import { unknown } from "../errors.js";
import type { StoredGroup } from "./groups.js";
import { type LeaseName, parseHandle } from "./handles.js";

/** One settlement of a lease of a group. */
interface Item extends LeaseName {
  readonly group: number;
  readonly settlement: Settlement;
}

/** Settles leases, those of several consumers and groups together; per settlement whether it counted. */
export function createSettlements(connection: Connection) {
  const { schema } = connection;
  // In a form that no index serves: the primary key is the one to go by.
  const isHeld = "(d.due > statement_timestamp()) IS TRUE";
  const statements = {
    // Nobody waits behind a delivery of a group without order, so that it needs no lock to be removed.
    ack: {
      name: "pubsub_ack",
      text: `
        DELETE FROM ${schema}.pubsub_delivery d
          USING unnest($1::integer[], $2::bigint[], $3::uuid[]) WITH ORDINALITY AS o(id, seq, token, number)
          WHERE d.group_id = o.id AND d.seq = o.seq AND d.token = o.token AND ${isHeld} RETURNING o.number`,
    },
    settle: { name: "pubsub_settle", text: `SELECT ${schema}.pubsub_settle($1, $2, $3, $4, $5, $6)` },
    extend: {
      name: "pubsub_extend",
      text: `
        UPDATE ${schema}.pubsub_delivery d SET due = statement_timestamp() + $4 * interval '1 ms'
          FROM unnest($2::bigint[], $3::uuid[]) WITH ORDINALITY AS o(seq, token, number)
          WHERE d.group_id = $1 AND d.seq = o.seq AND d.token = o.token AND ${isHeld} RETURNING o.number`,
    },
    disclaim: {
      name: "pubsub_disclaim",
      text: `
        UPDATE ${schema}.pubsub_delivery d SET due = 'epoch', token = NULL, attempts = d.attempts - 1
          WHERE d.group_id = $1 AND d.due > statement_timestamp() AND d.token = ANY ($2::uuid[])`,
    },
  };

  const acks = batcher(async (items) => {
    const rows = await connection.query(statements.ack, encodeNames(items), { effect: "write" });
    return rows.map(([number]) => Number(number));
  });
  const others = batcher(async (items) => {
    const values = [
      ...encodeNames(items),
      encodeTexts(items.map(({ settlement }) => settlement.type)),
      encodeInt8s(items.map(({ settlement }) => ("afterMs" in settlement ? settlement.afterMs : null))),
      encodeTexts(items.map(({ settlement }) => ("error" in settlement ? settlement.error : null))),
    ];
    const [row] = await connection.query(statements.settle, values, { effect: "write" });
    return decodePlainArray(row?.[0] ?? "{}").map(Number);
  });

  /** Items of several callers in one statement, which returns the numbers (from 1) of those that counted. */
  function batcher(send: (items: readonly Item[]) => Promise<number[]>): Batcher<readonly Item[], boolean[]> {
    return new Batcher({
      flights: Math.ceil(connection.size / 2),
      maxCalls: 512,
      maxWeight: 2_000,
      weigh: (items) => items.length,
      async send(calls) {
        const counted = new Set(await send(calls.flat()));
        let number = 0;
        return calls.map((items) => items.map(() => counted.has(++number)));
      },
      left: unknown,
    });
  }

  return {
    async settle({ id, isOrdered }: StoredGroup, settlements: readonly Settlement[]): Promise<boolean[]> {
      const outcomes = settlements.map(() => false);
      const parts = {
        acks: { at: [] as number[], items: [] as Item[] },
        others: { at: [] as number[], items: [] as Item[] },
      };
      for (const [index, settlement] of settlements.entries()) {
        const name = parseHandle(settlement.handle);
        if (name === undefined) continue;
        const part = settlement.type === "ack" && !isOrdered ? parts.acks : parts.others;
        part.at.push(index);
        part.items.push({ ...name, group: id, settlement });
      }
      const settlePart = async ({ at, items }: typeof parts.acks, by: typeof acks) => {
        if (items.length === 0) return;
        const counted = await by.call(items, undefined);
        for (const [number, index] of at.entries()) outcomes[index] = counted[number] === true;
      };
      await Promise.all([settlePart(parts.acks, acks), settlePart(parts.others, others)]);
      return outcomes;
    },

    async extend({ id }: StoredGroup, handles: readonly string[], leaseMs: number): Promise<boolean[]> {
      const names = handles.map(parseHandle);
      const known = names.filter((name) => name !== undefined);
      if (known.length === 0) return handles.map(() => false);
      const values = [
        id,
        encodeInt8s(known.map(({ seq }) => seq)),
        encodeUuids(known.map(({ token }) => token)),
        leaseMs,
      ];
      // Twice does what once does, so that it may be sent again.
      const rows = await connection.query(statements.extend, values, { effect: "read" });
      const counted = new Set(rows.map(([number]) => Number(number)));
      let number = 0;
      return names.map((name) => name !== undefined && counted.has(++number));
    },

    /** Hands back everything that was leased by some claims, whose answers were lost. */
    async disclaim({ id }: StoredGroup, tokens: readonly string[]): Promise<void> {
      await connection.query(statements.disclaim, [id, encodeUuids(tokens)], { effect: "write" });
    },

    async close() {
      await Promise.all([acks.close(), others.close()]);
    },
  };
}

const encodeNames = (items: readonly Item[]) => [
  encodeInt4s(items.map(({ group }) => group)),
  encodeInt8s(items.map(({ seq }) => seq)),
  encodeUuids(items.map(({ token }) => token)),
];

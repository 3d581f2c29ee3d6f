import { hash } from "node:crypto";
import type { PubSubEntry } from "@mecha/component";
import { Batcher } from "../batcher.js";
import { decodePlainArray, encodeArray, encodeInt4s, encodeInt8s, encodeTexts, encodeUuids } from "../binary.js";
import type { Connection, Statement, Value } from "../connection.js";
import { unknown } from "../errors.js";

/** An entry whose topic is known by its id. */
export interface TopicEntry {
  readonly topic: number;
  readonly entry: PubSubEntry;
}

/** What a row takes in a statement beside its payload, about. */
const rowBytes = 128;

/** Publishes. Callers that come while others are under way share a transaction and a commit. */
export function createPublisher(connection: Connection) {
  const statement: Statement = {
    name: "pubsub_publish",
    text: `SELECT ${connection.schema}.pubsub_publish($1, $2, $3, $4, $5, $6)`,
  };
  const calls = new Batcher<readonly TopicEntry[], boolean[]>({
    flights: Math.ceil(connection.size / 2),
    maxCalls: 256,
    maxWeight: 2 * 1024 * 1024,
    maxWaitingWeight: 64 * 1024 * 1024,
    weigh: (entries) => entries.reduce((sum, { entry }) => sum + entry.payload.byteLength + rowBytes, 0),
    async send(batch) {
      const { values, outcomesOf } = encodeEntries(batch.flat());
      const [row] = await connection.query(statement, values, { effect: "write" });
      const outcomes = outcomesOf(row?.[0] ?? null).values();
      return batch.map((entries) => entries.map(() => outcomes.next().value === true));
    },
    left: unknown,
  });

  return {
    /** Publishes in one transaction; of each entry whether it was a duplicate. */
    publish: (entries: readonly TopicEntry[], signal: AbortSignal | undefined): Promise<boolean[]> =>
      calls.call(entries, signal),
    close: () => calls.close(),
  };
}

/** The parameters of `pubsub_publish`, and how to read what it returns: of each entry whether it was a duplicate. */
export function encodeEntries(entries: readonly TopicEntry[]): {
  readonly values: readonly Value[];
  outcomesOf(duplicates: string | null): boolean[];
} {
  const fresh = new Map<string, TopicEntry>();
  const digests = entries.map(digestOf);
  const isRepeated = digests.map((digest, index) => {
    const entry = entries[index];
    if (fresh.has(digest) || entry === undefined) return true;
    fresh.set(digest, entry);
    return false;
  });
  const all = [...fresh.values()].map(({ entry }) => entry);
  return {
    values: [
      encodeInt4s([...fresh.values()].map(({ topic }) => topic)),
      encodeUuids([...fresh.keys()]),
      encodeTexts(all.map(({ orderingKey }) => orderingKey)),
      encodeInt8s(all.map(({ delayMs }) => delayMs)),
      encodeInt8s(all.map(({ ttlMs }) => ttlMs ?? null)),
      encodeArray(
        "bytea",
        all.map(({ payload }) => payload),
      ),
    ],
    outcomesOf(duplicates) {
      const numbers = new Set(duplicates === null ? [] : decodePlainArray(duplicates).map(Number));
      let number = 0;
      return isRepeated.map((repeated) => repeated || numbers.has(++number));
    },
  };
}

/** Half of a SHA-256: as long as no two are alike it may stand for names of any length. */
const digestOf = ({ topic, entry }: TopicEntry): string =>
  hash("sha256", `${topic}\n${entry.source}\n${entry.id}`).slice(0, 32);

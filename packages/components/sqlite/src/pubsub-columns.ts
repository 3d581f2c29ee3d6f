import type { PubSubEntry } from "@mecha/component";
import type { BareEntry } from "./pubsub-jobs.js";

/** What entries have in one field: mostly the same. */
type Column<Value> = { readonly all: Value } | { readonly each: readonly Value[] };

/** Entries without their payloads, field by field: of most events only the id is their own, and only that crosses threads for each of them. */
export type EntryColumns = { readonly [Field in keyof BareEntry]: Column<BareEntry[Field]> } & {
  readonly count: number;
};

export function toColumns(entries: readonly PubSubEntry[]): EntryColumns {
  const column = <Value>(read: (entry: PubSubEntry) => Value): Column<Value> => {
    const each = entries.map(read);
    const [all] = each;
    return all !== undefined && each.every((value) => value === all) ? { all } : { each };
  };
  return {
    count: entries.length,
    topic: column(({ topic }) => topic),
    source: column(({ source }) => source),
    id: column(({ id }) => id),
    orderingKey: column(({ orderingKey }) => orderingKey),
    delayMs: column(({ delayMs }) => delayMs),
    ttlMs: column(({ ttlMs }) => ttlMs ?? null),
  };
}

export function fromColumns({ count, topic, source, id, orderingKey, delayMs, ttlMs }: EntryColumns): BareEntry[] {
  const at = <Value>(column: Column<Value>, index: number): Value =>
    "all" in column ? column.all : (column.each[index] as Value);
  return Array.from({ length: count }, (_, index) => ({
    topic: at(topic, index),
    source: at(source, index),
    id: at(id, index),
    orderingKey: at(orderingKey, index),
    delayMs: at(delayMs, index),
    ttlMs: at(ttlMs, index),
  }));
}

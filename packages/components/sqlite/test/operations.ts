import type { Component, StateOperation, StateStore } from "@mecha/component";

export const keyspace = "test/app";

export function setOperation(key: string, value: string | Uint8Array): StateOperation {
  return {
    type: "set",
    key,
    value: typeof value === "string" ? new TextEncoder().encode(value) : value,
    contentType: "text/plain",
    ttlMs: undefined,
    precondition: undefined,
  };
}

export async function set(store: StateStore, ...entries: [key: string, value: string | Uint8Array][]): Promise<void> {
  const operations = entries.map(([key, value]) => setOperation(key, value));
  await store.write({ keyspace, operations, requestId: undefined });
}

export async function text(store: StateStore, key: string): Promise<string | undefined> {
  const item = await store.get({ keyspace, key });
  return item && new TextDecoder().decode(item.value);
}

export async function keys(store: StateStore, prefix = ""): Promise<string[]> {
  const all: string[] = [];
  for (let after: string | undefined; ; after = all.at(-1)) {
    const { items, more } = await store.list({
      keyspace,
      prefix,
      after,
      limit: 1000,
      maxBytes: 2 ** 30,
      keysOnly: true,
    });
    all.push(...items.map(({ key }) => key));
    if (!more) return all;
  }
}

export function stateOf({ blocks: { state } }: Component): StateStore {
  if (state === undefined) throw new Error("the component serves no state");
  return state;
}

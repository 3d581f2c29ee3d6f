import { strict as assert } from "node:assert";
import type { Component, StateOperation, StateStore } from "@mecha/component";

/** The state block of a component. */
export function stateOf({ blocks: { state } }: Component): StateStore {
  assert(state, "the component serves state");
  return state;
}

/** A set without options. */
export function setOf(key: string, value: string | Uint8Array = ""): StateOperation {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return { type: "set", key, value: bytes, contentType: "", ttlMs: undefined, precondition: undefined };
}

/** A deletion without options. */
export function deleteOf(key: string): StateOperation {
  return { type: "delete", key, precondition: undefined };
}

/** Deletes so many keys that a keyspace has forgotten every deletion before. */
export async function forgetDeletions(component: Component, keyspace: string, history: number): Promise<void> {
  const state = stateOf(component);
  for (let first = 0; first <= history; first += 100) {
    const keys = Array.from({ length: 100 }, (_, index) => `filler-${first + index}`);
    await state.write({ keyspace, requestId: undefined, operations: keys.map((key) => setOf(key)) });
    await state.write({ keyspace, requestId: undefined, operations: keys.map(deleteOf) });
  }
}

import { strict as assert } from "node:assert";
import { type Component, ComponentError, type StateOperation, type StateStore } from "@mecha/component";
import { createClient } from "@redis/client";

/** The state block of a component. */
export function stateOf({ blocks: { state } }: Component): StateStore {
  assert(state, "the component serves state");
  return state;
}

/** A set without options. */
export function setOf(key: string, value: string | Uint8Array = "", ttlMs?: number): StateOperation {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return { type: "set", key, value: bytes, contentType: "", ttlMs, precondition: undefined };
}

/** A deletion without options. */
export function deleteOf(key: string): StateOperation {
  return { type: "delete", key, precondition: undefined };
}

export const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();

/** Writes without a request id. */
export function write(state: StateStore, keyspace: string, ...operations: StateOperation[]) {
  return Promise.resolve(state.write({ keyspace, operations, requestId: undefined }));
}

/** The reason that a call failed for; fails if it did not, or failed otherwise. */
export async function reasonOf(call: PromiseLike<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ComponentError) return error.reason;
    throw error;
  }
  throw new assert.AssertionError({ message: "the call succeeded" });
}

/** Waits until something holds, asking again and again. */
export async function eventually(what: string, holds: () => unknown, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > deadline)
      throw new assert.AssertionError({ message: `not within ${deadlineMs} ms: ${what}` });
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Sends commands to a server behind the component's back. */
export async function command(url: string, ...commands: string[][]): Promise<unknown[]> {
  const client = createClient({ url });
  client.on("error", () => {});
  await client.connect();
  const replies = [];
  try {
    for (const args of commands) replies.push(await client.sendCommand(args));
  } finally {
    client.destroy();
  }
  return replies;
}

/** Deletes so many keys that a keyspace has forgotten every deletion before. */
export async function forgetDeletions(component: Component, keyspace: string, history: number): Promise<void> {
  const state = stateOf(component);
  for (let first = 0; first <= history; first += 100) {
    const keys = Array.from({ length: 100 }, (_, index) => `filler-${first + index}`);
    await write(state, keyspace, ...keys.map((key) => setOf(key)));
    await write(state, keyspace, ...keys.map(deleteOf));
  }
}

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Component, ComponentContext, StateItem, StateOperation, StateStore } from "@mecha/component";
import { ComponentError } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import type { TestServer } from "@mecha/test-servers";
import pg from "pg";
import { postgres } from "../src/index.js";

export const keyspace = "default/test";

/** A started component that closes at the end of its scope. */
export interface Opened extends AsyncDisposable {
  readonly component: Component;
  readonly store: StateStore;
}

export async function open(
  server: Pick<TestServer, "url">,
  config: Record<string, unknown> = {},
  context: Partial<ComponentContext> = {},
): Promise<Opened> {
  const component = await startComponent(postgres, { url: server.url, ...config }, context);
  const store = component.blocks.state;
  assert(store !== undefined);
  return { component, store, [Symbol.asyncDispose]: () => component.close() };
}

/** A connection of the test's own, to look at the server and to disturb it. */
export async function openClient(server: Pick<TestServer, "url">): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client(server.url);
  client.on("error", () => {});
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

export const setOf = (key: string, value: string, ttlMs?: number): StateOperation => ({
  type: "set",
  key,
  value: Buffer.from(value),
  contentType: "text/plain",
  ttlMs,
  precondition: undefined,
});

export async function set(store: StateStore, key: string, value: string, signal?: AbortSignal): Promise<void> {
  await store.write({
    keyspace,
    operations: [setOf(key, value)],
    requestId: undefined,
    ...(signal !== undefined && { signal }),
  });
}

export const textOf = (item: StateItem | undefined): string | undefined => item && Buffer.from(item.value).toString();

/** Asks until the condition holds, or fails after the deadline. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>, deadlineMs = 10_000) {
  const deadline = performance.now() + deadlineMs;
  while (!(await condition())) {
    assert(performance.now() < deadline, `waited ${deadlineMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The error that a call fails with, which must be one that its caller can act on. */
export async function failure(call: Promise<unknown>): Promise<ComponentError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ComponentError) return error;
  throw error ?? new Error("the call was answered, and should have failed");
}

/** Sends a signal to all processes of a server: connections have their own, which stopping the first one leaves running. */
export function signalAll(server: TestServer, signal: NodeJS.Signals): void {
  const main = Number(readFileSync(join(server.folder, "data/postmaster.pid"), "utf8").split("\n")[0]);
  const children = readdirSync("/proc").filter((entry) => {
    try {
      return (
        /^\d+$/.test(entry) &&
        readFileSync(`/proc/${entry}/stat`, "utf8").split(") ")[1]?.split(" ")[1] === String(main)
      );
    } catch {
      return false;
    }
  });
  for (const pid of [main, ...children.map(Number)]) process.kill(pid, signal);
}

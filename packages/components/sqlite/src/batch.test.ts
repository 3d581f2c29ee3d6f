import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { createBatchRunner } from "./batch.js";
import { createHandlers } from "./handlers.js";
import type { Job } from "./jobs.js";
import { migrate } from "./schema.js";

const keyspace = "app";
const call = { keyspace, topic: "t", group: "g" };
const settings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  maxAttempts: 10,
  minBackoffMs: 1_000,
  maxBackoffMs: 1_000,
  ackTimeoutMs: 1_000,
} as const;

const open: Job = { name: "pubsub.open", body: { call, settings, replaces: null }, blobs: [] };
const claim: Job = { name: "pubsub.claim", body: { group: 1, maxItems: 1, maxBytes: 1, leaseMs: 1_000 }, blobs: [] };
const extend: Job = { name: "pubsub.extend", body: { group: 1, leases: [], leaseMs: 1_000 }, blobs: [] };
const settle: Job = { name: "pubsub.settle", body: { group: 1, settlements: [] }, blobs: [] };
const write: Job = {
  name: "state.write",
  body: { keyspace, operations: [], publishes: [], requestId: undefined },
  blobs: [],
};

/** SQLite's numbers: 1 is normal, 2 is full. */
test.each([
  ["full", 2],
  ["normal", 1],
] as const)("with synchronous: %s only leases wait for no fsync", (synchronous, lasting) => {
  const db = new DatabaseSync(":memory:");
  migrate(db);
  db.exec(`PRAGMA synchronous = ${synchronous}`);
  const run = createBatchRunner(db, createHandlers(db), { guard: () => {}, lockTimeoutMs: 100, synchronous });
  const levelOf = (...jobs: Job[]) => {
    const outcomes = run(jobs, 1_000);
    expect(outcomes.every((outcome) => "answer" in outcome)).toBe(true);
    return db.prepare("PRAGMA synchronous").get()?.synchronous;
  };
  expect(levelOf(open)).toBe(lasting);
  expect(levelOf(claim)).toBe(1);
  expect(levelOf(claim, extend)).toBe(1);
  expect(levelOf(claim, write)).toBe(lasting);
  expect(levelOf(extend)).toBe(1);
  expect(levelOf(settle)).toBe(lasting);
  expect(levelOf(write)).toBe(lasting);
});

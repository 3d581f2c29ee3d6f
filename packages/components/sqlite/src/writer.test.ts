import { systemClock } from "@mecha/component";
import { afterEach, expect, test, vi } from "vitest";
import { createWriter } from "./writer.js";

// A thread that answers the first batch of its life, and dies of the second.
vi.mock("./thread.js?source", () => ({
  default: `
    const { parentPort } = require("node:worker_threads");
    let batches = 0;
    parentPort.on("message", ({ type, jobs }) => {
      if (type === "close") return parentPort.close();
      if (++batches === 2) process.exit(1);
      const outcomes = JSON.stringify(JSON.parse(jobs.text).map(() => ({ answer: { more: false } })));
      parentPort.postMessage({ outcomes, spare: jobs.bytes }, [jobs.bytes]);
    });
  `,
}));

const writers: ReturnType<typeof createWriter>[] = [];
afterEach(() => Promise.all(writers.splice(0).map((writer) => writer.close())));

function open() {
  const error = vi.fn();
  const writer = createWriter({
    settings: { path: "", synchronous: "full", lockTimeoutMs: 1_000, identity: undefined },
    clock: systemClock,
    logger: { debug() {}, info() {}, warn() {}, error },
    onBatch() {},
  });
  writers.push(writer);
  const submit = (bytes = 0, signal?: AbortSignal) =>
    writer.submit("state.sweep", {}, { blobs: [new Uint8Array(bytes)], signal });
  return { submit, error, writer };
}

test("a thread that dies leaves the outcome open, and the next job starts another", async () => {
  const { submit, error } = open();
  await submit();
  await expect(submit()).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN" });
  expect(error).toHaveBeenCalledOnce();
  await expect(submit()).resolves.toEqual({ more: false });
});

test("more than the queue holds is refused at once", async () => {
  const { submit } = open();
  const waiting = [submit(40 * 1024 * 1024), submit(20 * 1024 * 1024)];
  await expect(submit(20 * 1024 * 1024)).rejects.toMatchObject({ reason: "RATE_LIMITED" });
  await Promise.allSettled(waiting);
  await expect(submit(20 * 1024 * 1024)).resolves.toEqual({ more: false });
});

test("a caller that leaves before its batch is done nothing for, with its own reason", async () => {
  const { submit } = open();
  const controller = new AbortController();
  const left = submit(0, controller.signal);
  controller.abort("gone");
  await expect(left).rejects.toBe("gone");
  // The first batch of the thread's life: the job that was left has not been one.
  await expect(submit()).resolves.toEqual({ more: false });
});

test("a value whose buffer was taken away fails, and the writer goes on", async () => {
  const { submit, writer } = open();
  const blob = new Uint8Array(8);
  const taken = writer.submit("state.sweep", {}, { blobs: [blob] });
  structuredClone(blob.buffer, { transfer: [blob.buffer] });
  await expect(taken).rejects.toThrow(/detached/);
  await expect(submit()).resolves.toEqual({ more: false });
});

import { describe, expect, test } from "vitest";
import type { Component } from "../component.js";
import { ComponentError } from "../errors.js";
import { createManualClock, type ManualClock } from "../manual-clock.js";
import { bindingConformance } from "./conformance.js";
import { createInputQueue, type InputQueue } from "./input-queue.js";
import type { Binding, InputSource, InvokeCall, Operation } from "./interface.js";

const operations: readonly Operation[] = [
  {
    name: "echo",
    description: "Answers with what it is given.",
    parameters: [{ name: "wait", type: "boolean", required: false, description: "Whether it waits for its end." }],
    input: "*/*",
    output: "*/*",
    results: [{ name: "size", type: "integer", required: true, description: "How much it was." }],
  },
  {
    name: "drop",
    description: "Forgets a thing.",
    parameters: [{ name: "thing", type: "string", required: true, description: "Which." }],
  },
];

/** A binding that keeps every promise. */
function sound(clock: ManualClock): { binding: Binding; queue: InputQueue; close(): void } {
  const queue = createInputQueue({ clock });
  let closed = false;
  const binding: Binding = {
    features: ["OUTPUT", "INPUT"],
    operations,
    maxDataBytes: 1000,
    async invoke({ data, contentType, metadata, signal }) {
      if (closed) throw new ComponentError("COMPONENT_UNAVAILABLE", "closed");
      signal.throwIfAborted();
      if (metadata.wait === "true") {
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
      }
      return { data, contentType, metadata: { size: String(data.byteLength) } };
    },
    input: { description: "Something happened.", contentType: "text/plain", metadata: [], consume: queue.consume },
  };
  return {
    binding,
    queue,
    close() {
      closed = true;
      queue.close();
    },
  };
}

type Change = (binding: Binding, queue: InputQueue) => Partial<Binding>;

/** Which of the suite's cases fail for a binding that was changed: of all, or only the one that is named. */
async function failing(change: Change = () => ({}), only?: string): Promise<string[]> {
  const queues = new WeakMap<Component, InputQueue>();
  const clock = createManualClock();
  let count = 0;
  const cases = bindingConformance({
    open() {
      const { binding, queue, close } = sound(clock);
      const component: Component = {
        blocks: { binding: { ...binding, ...change(binding, queue) } },
        async health() {},
        close: async () => close(),
      };
      queues.set(component, queue);
      return component;
    },
    features: ["OUTPUT", "INPUT"],
    works: { operation: "echo", data: "hello" },
    slow: { operation: "echo", metadata: { wait: "true" } },
    trigger(component) {
      const id = `event-${++count}`;
      queues.get(component)?.put({ id, time: 0, data: Buffer.from("x"), contentType: "text/plain", metadata: {} });
    },
    advance: clock.advance,
    // What waits for ever is wrong, and found sooner.
    ...(only !== undefined && { deadlineMs: 3_000 }),
  });
  const failed: string[] = [];
  for (const { name, run } of cases) {
    if (only !== undefined && name !== only) continue;
    await run().catch(() => failed.push(name));
  }
  return failed;
}

/** The binding with another invoke. */
const invoking =
  (
    invoke: (call: InvokeCall, own: NonNullable<Binding["invoke"]>) => ReturnType<NonNullable<Binding["invoke"]>>,
  ): Change =>
  (binding) => {
    const own = binding.invoke;
    return own === undefined ? {} : { invoke: (call) => invoke(call, own) };
  };

/** The binding with other sources. */
const consuming =
  (alter: (source: InputSource, queue: InputQueue) => Partial<InputSource>): Change =>
  ({ input }, queue) => {
    if (input === undefined) return {};
    return {
      input: {
        ...input,
        consume(call) {
          const source = input.consume(call);
          return { ...source, ...alter(source, queue) };
        },
      },
    };
  };

const failsWith = "ends soon for a caller that goes while it works";

describe("the binding suite", () => {
  test("passes a binding that keeps every promise", async () => {
    expect(await failing()).toEqual([]);
  }, 60_000);

  test.each<[string, Change, string]>([
    ["declares a feature that it has not", () => ({ features: ["OUTPUT"] }), "declares what it can do"],
    [
      "describes an operation twice",
      () => ({ operations: [...operations, ...operations] }),
      "describes every operation and every parameter, each once",
    ],
    [
      "describes nothing in words",
      () => ({ operations: operations.map((one) => ({ ...one, description: "echo" })) }),
      "describes every operation and every parameter, each once",
    ],
    [
      "answers with metadata that it does not describe",
      invoking(async (call, own) => ({ ...(await own(call)), metadata: { size: "0", secret: "1" } })),
      "does an operation and answers as it is described",
    ],
    [
      "takes more than there may be",
      () => ({ maxDataBytes: 8 * 1024 * 1024 }),
      "has data refused that is larger than it takes",
    ],
    [
      "works for a caller that is gone",
      invoking((call, own) => own({ ...call, signal: new AbortController().signal })),
      "does nothing for a caller that is gone",
    ],
    [
      "does not hear that its caller went",
      invoking((call, own) => (call.metadata.wait ? new Promise(() => {}) : own(call))),
      failsWith,
    ],
    [
      "calls an end that it was told a failure of its own",
      invoking((call, own) =>
        Promise.resolve(own(call)).catch((error: unknown) => {
          throw call.metadata.wait ? new Error("failed") : error;
        }),
      ),
      failsWith,
    ],
    [
      "works though it is closed",
      invoking((call, own) =>
        Promise.resolve(own(call)).catch((error: unknown) => {
          if (error instanceof ComponentError) return { data: call.data, contentType: "", metadata: { size: "0" } };
          throw error;
        }),
      ),
      "says that it is closed",
    ],
    [
      "delivers again what was acked",
      consuming((source, queue) => ({
        settle(settlements) {
          const counted = source.settle(settlements);
          for (const { type } of settlements) {
            if (type === "ack")
              queue.put({ id: "again", time: 0, data: Buffer.from(""), contentType: "", metadata: {} });
          }
          return counted;
        },
      })),
      "never delivers again what was acked, and takes a late ack for nothing",
    ],
    [
      "takes every ack",
      consuming(() => ({ settle: (settlements) => settlements.map(() => true) })),
      "never delivers again what was acked, and takes a late ack for nothing",
    ],
    [
      "counts a hand-back as an attempt",
      consuming((source) => ({
        settle: (settlements) =>
          source.settle(
            settlements.map((one) =>
              one.type === "release" ? { type: "retry", handle: one.handle, afterMs: 0, error: "" } : one,
            ),
          ),
      })),
      "delivers what was handed back at no cost of an attempt, to another consumer too",
    ],
    [
      "forgets what failed",
      consuming((source) => ({
        settle: (settlements) => source.settle(settlements.map(({ handle }) => ({ type: "ack", handle }))),
      })),
      "delivers again what failed, its attempt one higher",
    ],
    [
      "keeps what it was given more time for no longer",
      consuming((source) => ({ extend: (handles) => source.extend(handles, 1) })),
      "delivers again what was not settled in time, unless it was given more",
    ],
    [
      "says of every extension that it counted",
      consuming((source) => ({
        async extend(handles, leaseMs) {
          await source.extend(handles, leaseMs);
          return handles.map(() => true);
        },
      })),
      "delivers again what was not settled in time, unless it was given more",
    ],
    [
      "delivers each event to every consumer",
      ({ input }, queue) => {
        if (input === undefined) return {};
        return { input: { ...input, consume: () => ({ ...queue.consume(), receive: broadcast(queue) }) } };
      },
      "shares events among consumers, and a wait that ends takes nothing",
    ],
  ])("fails one that %s", async (_, change, expected) => {
    expect(await failing(change, expected)).toEqual([expected]);
  });
});

/** Takes an event and puts a copy of it back for the others, once. */
function broadcast(queue: InputQueue): InputSource["receive"] {
  const source = queue.consume();
  return async (call) => {
    const leases = await source.receive(call);
    for (const { event } of leases) if (!event.id.endsWith("'")) queue.put({ ...event, id: `${event.id}'` });
    return leases;
  };
}

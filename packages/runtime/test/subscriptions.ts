import { setImmediate } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { PubSubService } from "@mecha/api/pubsub";
import { RuntimeService } from "@mecha/api/runtime";
import type { ResourceObject, RuntimeOptions } from "../src/index.js";
import type { Received, TestApp } from "./app.js";
import { component, startRuntime } from "./helpers.js";

/** A `kind: Subscription` resource. */
export function subscription(name: string, spec: Record<string, unknown>): ResourceObject {
  return { apiVersion: "mecha.dev/v1", kind: "Subscription", metadata: { name }, spec };
}

/** A retry that keeps no test waiting. */
export const fast = { minBackoff: "10ms", maxBackoff: "10ms" };

/** A runtime beside an app that subscribes to "orders". */
export async function start(app: TestApp, spec: Record<string, unknown> = {}, options: RuntimeOptions = {}) {
  const runtime = await startRuntime({
    resources: [
      component("memory"),
      subscription("orders", { topic: "orders", path: "/orders", retry: { maxAttempts: 3, ...fast }, ...spec }),
    ],
    appPort: app.port,
    ...options,
  });
  const pubsub = createClient(PubSubService, runtime.transport);
  const runtimes = createClient(RuntimeService, runtime.transport);
  return {
    runtime,
    async publish(...texts: string[]) {
      const entries = texts.map((text) => ({
        topic: "orders",
        event: { id: text, dataContentType: "text/plain", data: Buffer.from(text) },
      }));
      await pubsub.publishMany({ entries });
      // In process a call takes no turn of the event loop: a loop of them would keep everything else waiting.
      await setImmediate();
    },
    async info() {
      const [first] = (await runtimes.getInfo({})).subscriptions;
      if (first === undefined) throw new Error("the runtime tells of no subscription");
      return first;
    },
    async deadLetters() {
      const { deadLetters } = await pubsub.listDeadLetters({ topic: "orders" });
      return deadLetters.map(({ event, attempts, lastError }) => ({ id: event?.id, attempts, lastError }));
    },
    pubsub,
  };
}

/** What the runtime's metrics say. */
export const scrape = async ({ endpoint }: { endpoint: string }) => (await fetch(`${endpoint}/metrics`)).text();

/** Which events the app was sent, in the order of their arrival. */
export const ids = (received: readonly Received[]) => received.map(({ headers }) => headers["ce-id"]);

/** As which attempt each of them came. */
export const attempts = (received: readonly Received[]) => received.map(({ headers }) => headers["mecha-attempt"]);

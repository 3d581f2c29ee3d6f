import { type Component, defineComponent } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { startApp } from "../../test/app.js";
import { until } from "../../test/helpers.js";
import { attempts, ids, start } from "../../test/subscriptions.js";

describe("a runtime that stops", () => {
  it("waits for what the app has, during which the app can use it, and takes no more", async () => {
    const gate = Promise.withResolvers<number>();
    const app = await startApp(() => gate.promise);
    const { runtime, publish } = await start(app, { concurrency: 1 });
    await publish("a", "b");
    await until(() => app.received.length === 1, "the app has one");
    const closing = runtime.close();
    const answer = await fetch(`${runtime.endpoint}/state/k`, { method: "PUT", body: "from the handler" });
    expect(answer.status).toBe(204);
    gate.resolve(204);
    await closing;
    expect(ids(app.received)).toEqual(["a"]);
  });

  it("hands back at its deadline what the app did not finish, at no cost of an attempt", async () => {
    const app = await startApp(() => new Promise(() => {}));
    const shared = await sharedMemory();
    const first = await start(app, {}, { components: [shared] });
    await first.publish("a");
    await until(() => app.received.length === 1, "the app has it");
    await first.runtime.close({ deadlineMs: 50 });
    await until(() => app.open.now === 0, "the request was hung up");
    await start(app, {}, { components: [shared] });
    await until(() => app.received.length === 2, "it comes again");
    expect(attempts(app.received)).toEqual(["1", "1"]);
  });
});

/** A memory component that outlives its runtimes, as a server would. */
async function sharedMemory() {
  let shared: Promise<Component> | undefined;
  return defineComponent({
    ...memory,
    async create(config, context) {
      shared ??= memory.create(config, context);
      return { ...(await shared), async close() {} };
    },
  });
}

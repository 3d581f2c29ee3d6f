import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { PubSubService } from "@mecha/api/pubsub";
import { RuntimeService, SubscriptionState } from "@mecha/api/runtime";
import { type Component, ComponentError, defineComponent } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { type Received, startApp, type TestApp } from "../../test/app.js";
import { component, startRuntime, temporaryFolder, until } from "../../test/helpers.js";
import type { ResourceObject, RuntimeOptions } from "../index.js";

/** A `kind: Subscription` resource. */
function subscription(name: string, spec: Record<string, unknown>): ResourceObject {
  return { apiVersion: "mecha.dev/v1", kind: "Subscription", metadata: { name }, spec };
}

const fast = { minBackoff: "10ms", maxBackoff: "10ms" };

/** A runtime beside an app that subscribes to "orders". */
async function start(app: TestApp, spec: Record<string, unknown> = {}, options: RuntimeOptions = {}) {
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

const scrape = async ({ endpoint }: { endpoint: string }) => (await fetch(`${endpoint}/metrics`)).text();

const ids = (received: readonly Received[]) => received.map(({ headers }) => headers["ce-id"]);
const attempts = (received: readonly Received[]) => received.map(({ headers }) => headers["mecha-attempt"]);

describe("a subscription", () => {
  it("posts each event to the app's path, with the token that proves who posts", async () => {
    const app = await startApp();
    const { publish, info } = await start(app, {}, { appToken: "s3cret" });
    await publish("a");
    await until(() => app.received.length === 1, "the event arrives");
    expect(app.received[0]).toMatchObject({
      method: "POST",
      url: "/orders",
      headers: {
        authorization: "Bearer s3cret",
        "ce-specversion": "1.0",
        "ce-id": "a",
        "ce-type": "orders",
        "ce-source": "/ns/default/app/app",
        "content-type": "text/plain",
        "mecha-subscription": "orders",
        "mecha-attempt": "1",
      },
    });
    expect(app.received[0]?.body.toString()).toBe("a");
    await until(async () => (await info()).acked === 1n, "it is acked");
    expect(await info()).toMatchObject({
      name: "orders",
      component: "memory",
      topic: "orders",
      group: "app",
      paths: ["/orders"],
      state: SubscriptionState.DELIVERING,
      inFlight: 0,
    });
  });

  it("hands the event's trace on where the app's instrumentation looks for it", async () => {
    const app = await startApp();
    const { pubsub } = await start(app);
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await pubsub.publish({ entry: { topic: "orders", event: { extensions: { traceparent } } } });
    await until(() => app.received.length === 1, "the event arrives");
    expect(app.received[0]?.headers).toMatchObject({ traceparent, "ce-traceparent": traceparent });
  });

  it("tries what the app does not take again, then makes a dead letter of it; its neighbours are not held up", async () => {
    const app = await startApp(({ headers }) => (headers["ce-id"] === "poison" ? { status: 500, body: "no" } : 200));
    const { publish, deadLetters, info } = await start(app);
    await publish("before", "poison", "after");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    await until(async () => (await info()).acked === 2n, "its neighbours are acked");
    expect(await deadLetters()).toEqual([{ id: "poison", attempts: 3, lastError: "/orders: HTTP 500: no" }]);
    expect(ids(app.received).filter((id) => id !== "poison")).toEqual(["before", "after"]);
    expect(attempts(app.received.filter(({ headers }) => headers["ce-id"] === "poison"))).toEqual(["1", "2", "3"]);
    expect(await info()).toMatchObject({ acked: 2n, retried: 3n, lastError: "/orders: HTTP 500: no" });
  });

  it("makes a dead letter at once of what the app answers with 410", async () => {
    const app = await startApp(() => 410);
    const { publish, deadLetters } = await start(app);
    await publish("never");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect(await deadLetters()).toEqual([{ id: "never", attempts: 1, lastError: "/orders: HTTP 410" }]);
  });

  it("follows no redirect: nothing is sent to where the app did not listen", async () => {
    const elsewhere = await startApp();
    const location = `http://127.0.0.1:${elsewhere.port}/`;
    const app = await startApp(() => ({ status: 307, headers: { location } }));
    const { publish, deadLetters } = await start(app, {}, { appToken: "s3cret" });
    await publish("a");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect((await deadLetters())[0]?.lastError).toBe("/orders: HTTP 307: redirects are not followed");
    expect(elsewhere.received).toEqual([]);
  });

  it("waits as long as the app asks for", async () => {
    let refused = 0;
    const app = await startApp(() => {
      refused ||= Date.now();
      return app.received.length === 1 ? { status: 503, headers: { "retry-after": "1" } } : 204;
    });
    const { publish } = await start(app);
    await publish("a");
    await until(() => app.received.length === 2, "it comes again");
    expect(Date.now() - refused).toBeGreaterThanOrEqual(900);
  });

  it("counts an answer that takes longer than the ack timeout as none, and hangs up", async () => {
    const app = await startApp(() => (app.received.length === 1 ? new Promise(() => {}) : 204));
    const { publish, info } = await start(app, { ackTimeout: "1s" });
    await publish("slow");
    await until(() => app.received.length === 2, "it comes again");
    expect(attempts(app.received)).toEqual(["1", "2"]);
    expect((await info()).lastError).toBe("/orders: no answer within 1 s");
    await until(() => app.open.now === 0, "the first request was hung up");
  });

  it("reads no more of an answer than it needs", async () => {
    const app = await startApp(() => ({ status: 500, body: "x".repeat(10_000_000) }));
    const { publish, deadLetters } = await start(app, { retry: { maxAttempts: 1 } });
    await publish("a");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect((await deadLetters())[0]?.lastError).toHaveLength(512);
  });

  it("has no more requests with the app than it may", async () => {
    const gate = Promise.withResolvers<number>();
    const app = await startApp(() => gate.promise);
    const { publish, info } = await start(app, { concurrency: 3 });
    await publish(...Array.from({ length: 20 }, (_, index) => String(index)));
    await until(() => app.open.now === 3, "three are with the app");
    expect((await info()).inFlight).toBe(3);
    gate.resolve(204);
    await until(() => app.received.length === 20, "all arrive");
    expect(app.open.most).toBe(3);
  });

  it("keeps the order of each key, one at a time", async () => {
    const app = await startApp(({ headers }) =>
      headers["mecha-attempt"] === "1" && headers["ce-id"] === "a1" ? 500 : 204,
    );
    const { pubsub } = await start(app, { ordered: true });
    const entry = (id: string) => ({ topic: "orders", orderingKey: id.slice(0, 1), event: { id } });
    await pubsub.publishMany({ entries: ["a1", "a2", "b1", "a3", "b2"].map(entry) });
    await until(() => app.received.length === 6, "all arrive, one of them twice");
    const ofKey = (key: string) => ids(app.received.filter(({ headers }) => headers["ce-partitionkey"] === key));
    expect(ofKey("a")).toEqual(["a1", "a1", "a2", "a3"]);
    expect(ofKey("b")).toEqual(["b1", "b2"]);
  });
});

describe("rules", () => {
  const rules = [
    { match: "event.type == 'order.placed' && data.total > 100", path: "/large?from=rules" },
    { match: "event.type == 'order.placed'", path: "/placed" },
  ];
  const entry = (type: string, data: unknown) => ({
    topic: "orders",
    event: { type, dataContentType: "application/json", data: Buffer.from(JSON.stringify(data)) },
  });
  const entries = [
    entry("order.placed", { total: 500 }),
    entry("order.placed", { total: 1 }),
    // The first rule fails on it, and so does not match.
    entry("order.placed", { noTotal: true }),
    entry("order.cancelled", {}),
  ];

  it("route: the first that matches wins, and the path takes the rest", async () => {
    const app = await startApp();
    const { pubsub } = await start(app, { rules });
    await pubsub.publishMany({ entries });
    await until(() => app.received.length === 4, "all arrive");
    const pathOf = new Map(app.received.map(({ url, body }) => [body.toString(), url]));
    expect(entries.map(({ event }) => pathOf.get(event.data.toString()))).toEqual([
      "/large?from=rules",
      "/placed",
      "/placed",
      "/orders",
    ]);
  });

  it("that all do not match make a dead letter, and a count", async () => {
    const app = await startApp();
    const { pubsub, deadLetters, info } = await start(app, { rules, path: undefined });
    await pubsub.publishMany({ entries });
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect((await deadLetters())[0]?.lastError).toBe("no rule of the subscription matches");
    expect(await info()).toMatchObject({ unmatched: 1n, paths: ["/large?from=rules", "/placed"] });
  });

  it("that all do not match ack what the resource says is of no interest", async () => {
    const app = await startApp();
    const { runtime, pubsub, deadLetters, info } = await start(app, { rules, path: undefined, noMatch: "ack" });
    await pubsub.publishMany({ entries });
    await until(async () => (await info()).unmatched === 1n, "it is counted");
    expect(await scrape(runtime)).toContain('mecha_subscription_unmatched_total{subscription="orders"} 1');
    await until(() => app.received.length === 3, "the others arrive");
    expect(await deadLetters()).toEqual([]);
  });
});

describe("an app that is away", () => {
  it("costs no event an attempt, and gets them when it is back", async () => {
    const app = await startApp();
    await app.kill();
    const { runtime, publish, info } = await start(app);
    await publish("a", "b");
    await until(async () => (await info()).state === SubscriptionState.WAITING_FOR_APP, "it waits");
    await app.restart();
    await until(() => app.received.length === 2, "both arrive");
    expect(attempts(app.received)).toEqual(["1", "1"]);
    // Nothing was taken while the app was away: there was nothing to hand back.
    expect(await scrape(runtime)).toContain(
      'mecha_subscription_deliveries_total{subscription="orders",outcome="released"} 0',
    );

    await app.kill();
    // The runtime learns that the app is away by what it cannot hand over, or by looking.
    await publish("c");
    await until(async () => (await info()).state === SubscriptionState.WAITING_FOR_APP, "it waits again");
    await app.restart();
    await until(() => app.received.length === 3, "the third arrives");
    expect(app.received[2]?.headers["mecha-attempt"]).toBe("1");
    expect(await info()).toMatchObject({ retried: 0n });
  });

  it("and was killed while it had an event gets it again, as another attempt", async () => {
    const app = await startApp(() => (app.received.length === 1 ? new Promise(() => {}) : 204));
    const { publish, info } = await start(app);
    await publish("a");
    await until(() => app.received.length === 1, "the app has it");
    await app.kill();
    await until(async () => (await info()).retried === 1n, "the attempt failed");
    expect((await info()).lastError).toBe("/orders: the app ended the connection without an answer");
    await app.restart();
    await until(() => app.received.length === 2, "it comes again");
    expect(attempts(app.received)).toEqual(["1", "2"]);
  });
});

describe("a component that is away", () => {
  it("when the runtime starts is tried until it is there", async () => {
    let refusals = 3;
    const flaky = defineComponent({
      ...memory,
      async create(config, context) {
        const component = await memory.create(config, context);
        const { pubsub } = component.blocks;
        if (pubsub === undefined) throw new Error("memory serves pubsub");
        const openGroup: typeof pubsub.openGroup = (call) => {
          if (refusals-- > 0) throw new ComponentError("COMPONENT_UNAVAILABLE", "it is away");
          return pubsub.openGroup(call);
        };
        return { ...component, blocks: { ...component.blocks, pubsub: { ...pubsub, openGroup } } };
      },
    });
    const app = await startApp();
    const { publish, info } = await start(app, {}, { components: [flaky] });
    expect(await info()).toMatchObject({ state: SubscriptionState.WAITING_FOR_COMPONENT, lastError: "it is away" });
    await until(async () => (await info()).state === SubscriptionState.DELIVERING, "it delivers");
    await publish("a");
    await until(() => app.received.length === 1, "the event arrives");
  });
});

describe("an app that an event ends each time", () => {
  it("is rid of it after its attempts, also over connections that were kept", async () => {
    const app: TestApp = await startApp(async ({ headers }) => {
      if (headers["ce-id"] !== "poison") return 204;
      await app.kill();
      await app.restart();
      return 204;
    });
    const { publish, deadLetters } = await start(app, { concurrency: 1, retry: { maxAttempts: 2, ...fast } });
    await publish("first");
    await until(() => app.received.length === 1, "a connection is made, and kept");
    await publish("poison");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    await publish("last");
    await until(() => ids(app.received).at(-1) === "last", "the app is served on");
    const poison = app.received.filter(({ headers }) => headers["ce-id"] === "poison");
    // Twice each at the most: over a kept connection, which may have been closed before, and then over one of its own.
    expect(poison.length).toBeGreaterThanOrEqual(2);
    expect(poison.length).toBeLessThanOrEqual(4);
  });
});

describe("batches", () => {
  const batched = { format: "batched", batch: { maxEvents: 10 } };
  const events = ({ body }: Received) => (JSON.parse(body.toString()) as { id: string }[]).map(({ id }) => id);

  it("carry what there is, up to their size", async () => {
    const gate = Promise.withResolvers<number>();
    const app = await startApp(() => gate.promise);
    const { publish } = await start(app, { ...batched, concurrency: 1 });
    const all = Array.from({ length: 25 }, (_, index) => String(index));
    await publish(...all);
    await until(() => app.received.length === 1, "the first is with the app");
    gate.resolve(204);
    await until(() => app.received.length >= 3, "the others follow");
    expect(app.received.map((received) => events(received).length)).toEqual([10, 10, 5]);
    expect(app.received.flatMap(events)).toEqual(all);
    expect(app.received[0]?.headers["content-type"]).toBe("application/cloudevents-batch+json; charset=utf-8");
  });

  it("wait to be filled for as long as they are told to", async () => {
    const app = await startApp();
    const { publish } = await start(app, { ...batched, batch: { maxEvents: 3, maxWait: "15s" } });
    await publish("a");
    await publish("b");
    await publish("c");
    await until(() => app.received.length === 1, "the batch is full");
    expect(app.received.map(events)).toEqual([["a", "b", "c"]]);
  });

  it("that failed come again one by one, so that a poison event takes no neighbour with it", async () => {
    const app = await startApp((received) => (events(received).includes("poison") ? 500 : 204));
    const { publish, deadLetters } = await start(app, batched);
    await publish("a", "poison", "b");
    await until(() => app.received.length === 5, "each came again by itself");
    await until(async () => (await deadLetters()).length === 1, "the event is given up");
    expect(await deadLetters()).toMatchObject([{ id: "poison", attempts: 3 }]);
    expect(events(app.received[0] as Received)).toEqual(["a", "poison", "b"]);
    expect(app.received.slice(1).flatMap(events).sort()).toEqual(["a", "b", "poison", "poison"]);
  });

  it("that are answered with 410 are given up whole", async () => {
    const app = await startApp(() => 410);
    const { publish, deadLetters } = await start(app, batched);
    await publish("a", "b");
    await until(async () => (await deadLetters()).length === 2, "both are given up");
    expect(app.received).toHaveLength(1);
  });
});

describe("a change of the resources", () => {
  /** A runtime on a resource file that the test changes. */
  async function startOnFile(app: TestApp, ...specs: Record<string, unknown>[]) {
    const file = join(temporaryFolder(), "mecha.yaml");
    const write = (...subscriptions: Record<string, unknown>[]) => {
      const documents = [
        component("memory"),
        ...subscriptions.map((spec, index) => subscription(`s${index}`, { topic: "orders", ...spec })),
      ];
      // JSON is YAML.
      writeFileSync(file, documents.map((document) => JSON.stringify(document)).join("\n---\n"));
    };
    write(...specs);
    const started = await start(app, {}, { resources: [file] });
    const runtimes = createClient(RuntimeService, started.runtime.transport);
    return {
      ...started,
      write,
      errors: async () => (await runtimes.listResources({})).resources.map(({ error }) => error).filter(Boolean),
      subscriptions: async () => (await runtimes.getInfo({})).subscriptions,
    };
  }

  it("is taken while events flow: each arrives, none is held up, and what did not change is not disturbed", async () => {
    const app = await startApp();
    const { write, publish, subscriptions } = await startOnFile(app, { path: "/0" }, { path: "/same", group: "other" });
    const isOn = async (path: string) => (await subscriptions())[0]?.paths[0] === path;
    let published = 0;
    for (let version = 1; version <= 5; version++) {
      write({ path: `/${version}` }, { path: "/same", group: "other" });
      while (!(await isOn(`/${version}`))) await publish(String(published++));
    }
    await publish("last");
    const arrived = (wanted: (url: string) => boolean) =>
      new Set(ids(app.received.filter(({ url }) => wanted(url)))).size === published + 1;
    await until(() => arrived((url) => url !== "/same"), "each arrived at the changed one");
    await until(() => arrived((url) => url === "/same"), "each arrived at the other");
    expect(attempts(app.received).every((attempt) => attempt === "1")).toBe(true);
    // Counts begin anew with a change: these did not.
    await until(async () => (await subscriptions())[1]?.acked === BigInt(published + 1), "the other was not replaced");
    expect(app.received).toHaveLength(2 * (published + 1));
  });

  it("lets the app finish what it has of the old one", async () => {
    const gate = Promise.withResolvers<number>();
    const app = await startApp(({ url }) => (url === "/old" ? gate.promise : 204));
    const { write, publish, subscriptions } = await startOnFile(app, { path: "/old" });
    await publish("a");
    await until(() => app.received.length === 1, "the app has it");
    write({ path: "/new" });
    await until(async () => (await subscriptions())[0]?.paths[0] === "/new", "the change is taken");
    await publish("b");
    await until(() => app.received.length === 2, "the next one goes the new way");
    gate.resolve(204);
    await until(() => app.open.now === 0, "both are done");
    await publish("c");
    await until(() => app.received.length === 3, "and so does the third");
    expect(ids(app.received)).toEqual(["a", "b", "c"]);
  });

  it("that cannot be is refused with its reason, and the old one goes on", async () => {
    const app = await startApp();
    const { write, publish, errors } = await startOnFile(app, { path: "/orders" });
    write({ path: "/orders", ordered: true });
    await until(async () => (await errors()).length > 0, "the change is refused");
    expect((await errors())[0]).toMatch(/has other settings: ordered is false, not true; that never changes/);
    await publish("a");
    await until(() => app.received.length === 1, "the old one delivers");
  });

  it("that removes it ends it", async () => {
    const app = await startApp();
    const { write, publish, subscriptions } = await startOnFile(app, { path: "/orders" });
    write();
    await until(async () => (await subscriptions()).length === 0, "it is gone");
    await publish("a");
    write({ path: "/orders" });
    await until(() => app.received.length === 1, "its group kept what was published meanwhile");
  });

  it("that replaces the component lets it go on over the new one", async () => {
    const app = await startApp();
    const file = join(temporaryFolder(), "mecha.yaml");
    const write = (retainedEvents: number) => {
      const documents = [
        component("memory", { config: { retainedEvents } }),
        subscription("s", { topic: "orders", path: "/" }),
      ];
      writeFileSync(file, documents.map((document) => JSON.stringify(document)).join("\n---\n"));
    };
    write(1);
    const { publish } = await start(app, {}, { resources: [file] });
    write(2);
    // Memory forgets with its component: only what is published to the new one, after its group was opened, arrives.
    for (let n = 0; !ids(app.received).includes(`new ${n - 1}`) && n < 2_000; n++) await publish(`new ${n}`);
    expect(app.received.length).toBeGreaterThan(0);
  });
});

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

import { createClient } from "@connectrpc/connect";
import { RuntimeService } from "@mecha/api/runtime";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { startApp, type TestApp } from "../../test/app.js";
import { component, startRuntime, until } from "../../test/helpers.js";
import { testBinding } from "../../test/test-binding.js";
import { checkResources, type ResourceObject } from "../index.js";

const subscription = (name: string, spec: Record<string, unknown>): ResourceObject => {
  return { apiVersion: "mecha.dev/v1", kind: "Subscription", metadata: { name }, spec };
};
const fast = { minBackoff: "10ms", maxBackoff: "10ms" };

/** A runtime beside an app that is posted the events of binding "outside". */
async function start(app: TestApp, spec: Record<string, unknown> = {}) {
  const { definition, controls } = testBinding();
  const runtime = await startRuntime({
    components: [definition, memory],
    resources: [
      component("memory"),
      component("outside", { type: "echo" }),
      subscription("outside", { binding: "outside", path: "/events", retry: { maxAttempts: 3, ...fast }, ...spec }),
    ],
    appPort: app.port,
  });
  const put = (id: string, metadata: Record<string, string> = {}) =>
    controls.queue().put({ id, time: 1_500, data: Buffer.from(`"${id}"`), contentType: "application/json", metadata });
  return { runtime, put, left: () => controls.queue().size };
}

describe("a subscription to a binding", () => {
  it("posts its events to the app as CloudEvents", async () => {
    const app = await startApp();
    const { runtime, put, left } = await start(app);
    put("one", { timeZone: "UTC", "header.x-github-event": "push", id: "own" });
    await until(() => app.received.length === 1 && left() === 0, "the event arrives and is acked");
    expect(app.received[0]).toMatchObject({
      url: "/events",
      headers: {
        "ce-id": "one",
        "ce-source": "/ns/default/binding/outside",
        "ce-type": "mecha.binding.echo",
        "ce-time": "1970-01-01T00:00:01.500Z",
        "ce-timezone": "UTC",
        "ce-headerxgithubevent": "push",
        "ce-mechaid": "own",
        "content-type": "application/json",
        "mecha-attempt": "1",
      },
    });
    expect(app.received[0]?.body.toString()).toBe('"one"');
    const [told] = (await createClient(RuntimeService, runtime.transport).getInfo({})).subscriptions;
    expect(told).toMatchObject({ component: "outside", topic: "", group: "", acked: 1n });
  });

  it("leaves out what its filter does not match, and gives up what is out of attempts", async () => {
    const app = await startApp(() => 500);
    const { put, left } = await start(app, { filter: 'data != "unwanted"' });
    put("unwanted");
    put("broken");
    await until(() => left() === 0, "both are settled");
    expect(app.received.map(({ headers }) => [headers["ce-id"], headers["mecha-attempt"]])).toEqual([
      ["broken", "1"],
      ["broken", "2"],
      ["broken", "3"],
    ]);
  });
});

describe("the resource of one", () => {
  const check = async (spec: Record<string, unknown>, ...more: ResourceObject[]) => {
    const { definition } = testBinding();
    const { problems } = await checkResources({
      components: [definition, memory],
      resources: [
        component("memory"),
        component("outside", { type: "echo" }),
        subscription("s", { path: "/x", ...spec }),
        ...more,
      ],
      environment: {},
    });
    return problems.map(({ message }) => message).join("; ");
  };

  it("names a binding that has events, and nothing that only topics have", async () => {
    expect(await check({ binding: "outside" })).toBe("");
    expect(await check({ binding: "outsied" })).toMatch(/no binding "outsied" that has events.*outside/);
    expect(await check({ binding: "memory" })).toMatch(/no binding "memory" that has events; there are: outside/);
    expect(await check({ binding: "outside", topic: "orders" })).toMatch(/one of "topic" and "binding"/);
    expect(await check({})).toMatch(/one of "topic" and "binding"/);
    expect(await check({ binding: "outside", group: "g", ordered: true })).toMatch(/"group" is for.*"ordered" is for/);
    expect(await check({ binding: "outside" }, subscription("t", { binding: "outside", path: "/y" }))).toMatch(
      /takes from the events of binding "outside" too.*remove one/,
    );
  });
});

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@mecha/api/health";
import { PubSubService } from "@mecha/api/pubsub";
import { serve } from "@mecha/rpc";
import { expect, onTestFinished, test } from "vitest";
import { startApp } from "../../test/app.js";
import { Conversation } from "../../test/conversation.js";
import { callState, component, startRuntime, temporaryFolder, until } from "../../test/helpers.js";
import { createRuntime, type ResourceObject, readApps } from "../index.js";

/** `kind: App` of the app "app", probed often. */
const app = (probes: Record<string, Record<string, unknown>>): ResourceObject => ({
  apiVersion: "mecha.dev/v1",
  kind: "App",
  metadata: { name: "app" },
  spec: {
    port: "auto",
    probes: Object.fromEntries(
      Object.entries(probes).map(([name, probe]) => [name, { interval: "50ms", timeout: "500ms", ...probe }]),
    ),
  },
});

/** A runtime of an app that is probed so, and why it should be restarted. */
async function probe(appPort: number | undefined, probes: Record<string, Record<string, unknown>>) {
  const failures: string[] = [];
  const runtime = await startRuntime({
    resources: [component("memory"), app(probes)],
    ...(appPort !== undefined && { appPort }),
    appToken: "own",
    mesh: false,
    onAppFailed: (reason) => failures.push(reason),
  });
  const isReady = async () => (await fetch(`${runtime.endpoint}/readyz`)).status === 200;
  return { runtime, failures, isReady };
}

test("without a probe the app is ready while its port takes connections", async () => {
  const { port, kill, restart } = await startApp();
  await kill();
  const { runtime, isReady } = await probe(port, {});
  expect(await (await fetch(`${runtime.endpoint}/readyz`)).json()).toMatchObject({ status: "waiting for the app" });
  await restart();
  await until(isReady, "ready");
});

test("a readiness probe is believed after as many answers as it says, and calls over HTTP bear the app's token", async () => {
  let status = 503;
  const { port, received } = await startApp(() => status);
  const { isReady } = await probe(port, { readiness: { http: "/ready?full", failures: 2, successes: 3 } });
  await until(() => received.length >= 3, "asked");
  expect(await isReady()).toBe(false);
  expect(received[0]).toMatchObject({ method: "GET", url: "/ready?full", headers: { authorization: "Bearer own" } });
  const before = received.length;
  status = 302;
  await until(isReady, "ready");
  expect(received.length - before).toBeGreaterThanOrEqual(3);
  status = 500;
  await until(async () => !(await isReady()), "not ready");
});

test("an app that is not ready gets no events, and goes on where it was when it is", async () => {
  let ready = true;
  const { port, received } = await startApp(({ url }) => (url !== "/ready" || ready ? 204 : 500));
  const posted = () => received.filter(({ url }) => url === "/orders").length;
  const runtime = await startRuntime({
    resources: [
      component("memory"),
      app({ readiness: { http: "/ready" } }),
      {
        apiVersion: "mecha.dev/v1",
        kind: "Subscription",
        metadata: { name: "orders" },
        spec: { topic: "orders", path: "/orders" },
      },
    ],
    appPort: port,
    mesh: false,
  });
  const isReady = async () => (await fetch(`${runtime.endpoint}/readyz`)).status === 200;
  const publish = () => fetch(`${runtime.endpoint}/publish/orders`, { method: "POST", body: "{}" });
  await until(isReady, "ready");
  await publish();
  await until(() => posted() === 1, "the first event");
  ready = false;
  await until(async () => !(await isReady()), "not ready");
  await publish();
  const asked = received.length;
  await until(() => received.length > asked + 5, "probed some more");
  expect(posted()).toBe(1);
  ready = true;
  await until(() => posted() === 2, "the second event");
});

test("a stream of an app that is not ready brings nothing until it is", async () => {
  let ready = false;
  const { port, received } = await startApp(() => (ready ? 204 : 500));
  const { runtime, isReady } = await probe(port, { readiness: { http: "/" } });
  const client = createClient(PubSubService, runtime.transport);
  const conversation = new Conversation(client, { case: "open", value: { topic: "orders" } });
  expect((await conversation.hear()).case).toBe("opened");
  await fetch(`${runtime.endpoint}/publish/orders`, { method: "POST", body: "{}" });
  const next = conversation.hear();
  let heard = false;
  void next.then(() => {
    heard = true;
  });
  const asked = received.length;
  await until(() => received.length > asked + 3, "probed some more");
  expect(heard).toBe(false);
  ready = true;
  await until(isReady, "ready");
  expect((await next).case).toBe("deliveries");
});

test("liveness begins when the startup probe was well, and its failure asks for a restart, which begins with startup again", async () => {
  let started = false;
  let alive = true;
  const { port, received } = await startApp(({ url }) =>
    url === "/started" ? (started ? 200 : 503) : alive ? 200 : 500,
  );
  const { runtime, failures, isReady } = await probe(port, {
    startup: { http: "/started", failures: 1_000 },
    liveness: { http: "/alive", failures: 2 },
  });
  await until(() => received.length > 3, "asked");
  expect(received.every(({ url }) => url === "/started")).toBe(true);
  expect(await isReady()).toBe(false);
  started = true;
  await until(isReady, "ready");
  alive = false;
  await until(() => failures.length > 0, "failed");
  expect(failures[0]).toBe("its liveness probe failed: GET /alive answers 500");

  started = false;
  runtime.appRestarted();
  expect(await isReady()).toBe(false);
});

test("an app that does not start in time is to be restarted", async () => {
  const { port } = await startApp(() => 503);
  const { failures } = await probe(port, { startup: { http: "/", failures: 3 } });
  await until(() => failures.length > 1, "told, and told again");
  expect(failures[0]).toBe("its startup probe failed: GET / answers 503");
});

test("gRPC's health service is asked for one service, or for all", async () => {
  let status = Status.NOT_SERVING;
  const asked: string[] = [];
  const server = await serve({
    listen: { port: 0 },
    routes: (router) =>
      router.service(Health, {
        check({ service }) {
          asked.push(service);
          return { status };
        },
      }),
  });
  onTestFinished(() => server.close({ deadlineMs: 0 }));
  const { isReady } = await probe(Number(new URL(server.endpoint).port), { readiness: { grpc: "shop.Orders" } });
  await until(() => asked.length > 1, "asked");
  expect(await isReady()).toBe(false);
  status = Status.SERVING;
  await until(isReady, "ready");
  expect(new Set(asked)).toEqual(new Set(["shop.Orders"]));
});

test("a command is well when it exits with 0, also for an app without a port", async () => {
  const file = join(temporaryFolder(), "up");
  const { isReady, failures } = await probe(undefined, {
    readiness: { command: `test -e ${file}` },
    liveness: { command: ["sleep", "30"], failures: 1, timeout: "50ms" },
  });
  expect(existsSync(file)).toBe(false);
  expect(await isReady()).toBe(false);
  writeFileSync(file, "");
  await until(isReady, "ready");
  rmSync(file);
  await until(async () => !(await isReady()), "not ready");
  await until(() => failures.length > 0, "failed");
  expect(failures[0]).toBe("its liveness probe failed: sleep: no answer within 50 ms");
});

test("a liveness probe without an answer fails when its time is up", async () => {
  const { port } = await startApp(() => new Promise(() => {}));
  const { failures } = await probe(port, { liveness: { http: "/", failures: 1, timeout: "60ms" } });
  await until(() => failures.length > 0, "failed");
  expect(failures[0]).toBe("its liveness probe failed: GET /: no answer within 60 ms");
});

test("what is wrong with an App is told with its place", async () => {
  const wrong = (name: string, spec: Record<string, unknown>): ResourceObject => ({
    apiVersion: "mecha.dev/v1",
    kind: "App",
    metadata: { name },
    spec,
  });
  const starting = createRuntime({
    resources: [
      wrong("one", { probes: { liveness: { http: "/", tcp: true } } }),
      wrong("two", { probes: { readiness: { http: "/" } } }),
      wrong("three", { command: "node 'app.js", dependsOn: ["fuor"] }),
      wrong("four", { port: 80, restart: { minBackoff: "1m" }, dependsOn: ["four"] }),
    ],
  });
  await expect(starting).rejects.toThrow(
    [
      'resources[0]: "spec.probes.liveness" needs one of http, grpc, tcp and command: say how the app is asked',
      'resources[1]: "spec.probes.readiness" asks the app over its port: say spec.port',
      `resources[2]: "spec.command" is no command: it has a ' that is not closed`,
      'resources[3]: "restart.maxBackoff" is less than "restart.minBackoff"',
    ].join("\n"),
  );
});

test("Apps that wait for one that is not there, or for one another, are told", async () => {
  const waiting = (name: string, ...dependsOn: string[]): ResourceObject => ({
    apiVersion: "mecha.dev/v1",
    kind: "App",
    metadata: { name },
    spec: { dependsOn },
  });
  const resources = [waiting("shop", "ordres"), waiting("orders", "mail"), waiting("mail", "orders")];
  const { apps, problems } = await readApps({ resources, environment: {} });
  expect(apps.map(({ name }) => name)).toEqual(["shop", "orders", "mail"]);
  expect(problems.map(({ message }) => message)).toEqual([
    'there is no App "ordres"; did you mean "orders"?',
    "Apps wait for one another in a circle: orders → mail → orders",
    "Apps wait for one another in a circle: mail → orders → mail",
  ]);
});

test("a runtime without probes needs no port to serve", async () => {
  const { runtime, isReady } = await probe(undefined, {});
  expect(await isReady()).toBe(true);
  expect((await callState(runtime.endpoint, "Get", { key: "a" })).status).toBe(200);
});

test("refuses a port that is none", async () => {
  await expect(createRuntime({ appPort: 70_000 })).rejects.toThrow(
    "`appPort` is 70000; it must be a TCP port, 1 to 65535",
  );
});

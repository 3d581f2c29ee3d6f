import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { component } from "../../test/helpers.js";
import { createLog } from "../../test/log.js";
import { findsApp, startApp, startMeshRuntime, startPair } from "../../test/mesh.js";
import { checkResources, explainAccess, type ResourceObject } from "../index.js";

const policy = (spec: Record<string, unknown>, name = "orders"): ResourceObject => ({
  apiVersion: "mecha.dev/v1",
  kind: "AccessPolicy",
  metadata: { name },
  spec: { app: "orders", ...spec },
});

const found = { from: ["shop", "mail"], methods: ["GET"], paths: ["/found"] };

test("the called app's runtime lets in what a rule allows, and answers the rest with 403 before the app sees it", async () => {
  const { lines, logger } = createLog();
  const seen: string[] = [];
  const { url, dataDir } = await startPair(
    (request, response) => {
      seen.push(`${request.headers["mecha-caller"]} ${request.method} ${request.url}`);
      response.end();
    },
    {
      orders: {
        resources: [policy({ rules: [found, { from: ["shop"], methods: ["GET"], paths: ["/orders/{id}"] }] })],
        logger,
      },
    },
  );
  expect((await fetch(`${url}/orders/7?full=1`)).status).toBe(200);
  const refused = await fetch(`${url}/orders/7`, { method: "DELETE", headers: { "mecha-caller": "orders" } });
  expect(refused.status).toBe(403);
  expect(await refused.json()).toMatchObject({
    code: "permission_denied",
    message: 'app "shop" may not call DELETE /orders/7 of app "orders": an access policy of that app does not allow it',
    details: [{ debug: { reason: "ACCESS_DENIED", metadata: { app: "orders", caller: "shop" } } }],
  });
  expect(lines.join()).toContain('refused a call of app "shop"');

  const mail = await startMeshRuntime("mail", dataDir);
  await findsApp(mail, "orders");
  const forged = { headers: { "mecha-caller": "shop", mecha_caller: "shop" } };
  expect((await fetch(`${mail.endpoint}/invoke/orders/orders/7`, forged)).status).toBe(403);
  expect(seen).toEqual(["shop GET /orders/7?full=1"]);
});

test("a Connect call is refused in the form of its protocol", async () => {
  const { shop } = await startPair((_, response) => response.end(), {
    orders: { resources: [policy({ rules: [found, { paths: ["/shop.v1.Orders/Get"] }] })] },
  });
  const call = (method: string, contentType: string) =>
    fetch(`${shop.endpoint}/shop.v1.Orders/${method}`, {
      method: "POST",
      headers: { "mecha-app": "orders", "content-type": contentType },
      body: "{}",
    });
  expect((await call("Get", "application/json")).status).toBe(200);
  expect((await call("Delete", "application/json")).status).toBe(403);
  const stream = await call("Delete", "application/connect+json");
  expect(stream.status).toBe(200);
  expect(Buffer.from(await stream.arrayBuffer()).toString()).toContain('"permission_denied"');
});

test("a WebSocket is a GET", async () => {
  const { shop } = await startPair((_, response) => response.end(), {
    orders: { resources: [policy({ rules: [found] })] },
  });
  const { hostname, port } = new URL(shop.endpoint);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(
    "GET /invoke/orders/chat HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const answer = await new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  expect(answer).toMatch(/^HTTP\/1\.1 403 /);
});

test("a dry run refuses nothing, and logs and counts what it would", async () => {
  const { lines, logger } = createLog();
  const { url, orders } = await startPair((_, response) => response.end(), {
    orders: { resources: [policy({ dryRun: true, rules: [found] })], logger },
  });
  expect((await fetch(`${url}/orders/7`)).status).toBe(200);
  expect(lines.find((line) => line.includes("dry run"))).toContain('"path":"/orders/7","policy":"orders"');
  const metrics = await (await fetch(`${orders.endpoint}/metrics`)).text();
  expect(metrics).toContain('mecha_access_decisions_total{decision="dry-run"} 1');
});

test("what is wrong with a policy is told with what would be right", async () => {
  const rules = [{ paths: ["admin"] }, { methods: ["get"] }, { form: ["shop"] }, { action: "refuse" }, { from: [] }];
  const { problems } = await checkResources({ resources: [component("a"), policy({ rules })], environment: {} });
  expect(problems.map(({ message }) => message)).toEqual([
    'unknown field "form"; did you mean "from"?',
    '"spec.rules[0].paths[0]" is not valid: "admin" is no path template: a path begins with "/"',
    '"spec.rules[1].methods[0]" is not valid: must be an HTTP method in capitals: GET',
    '"spec.rules[3].action" must be "allow" or "deny"',
    expect.stringContaining('"spec.rules[4].from"'),
  ]);
});

test("one can ask what the policies say of a call, and why", async () => {
  const resources = [
    policy({
      rules: [
        { from: ["shop"], paths: ["/orders/**"] },
        { action: "deny", paths: ["/orders/secret"] },
      ],
    }),
    policy({ app: "mail" }, "mail"),
    policy({ dryRun: true }, "tighter"),
  ];
  const ask = async (from: string, to: string, path: string) => {
    const { explanation } = await explainAccess({ from, to, method: "GET", path }, { resources, environment: {} });
    return explanation;
  };
  expect(await ask("shop", "orders", "/orders/7")).toEqual({
    allowed: true,
    by: "rule",
    policy: "orders",
    source: "resources[0]",
    dryRun: [],
  });
  expect(await ask("shop", "orders", "/Orders/secret")).toMatchObject({ allowed: false, by: "rule" });
  expect(await ask("mail", "orders", "/orders/7")).toMatchObject({ allowed: false, by: "default", policy: "orders" });
  expect(await ask("shop", "mail", "/")).toMatchObject({ allowed: false, by: "default", policy: "mail" });
  expect(await ask("shop", "storefront", "/")).toEqual({ allowed: true, by: "no policy", dryRun: [] });
});

test("a call of an app to itself goes the same way", async () => {
  const app = await startApp((_, response) => response.end());
  const { dataDir } = await startPair((_, response) => response.end());
  const self = await startMeshRuntime("self", dataDir, {
    appPort: app.port,
    resources: [policy({ app: "self", rules: [{ paths: ["/found"] }] })],
  });
  await findsApp(self, "self");
  expect((await fetch(`${self.endpoint}/invoke/self/x`)).status).toBe(403);
});

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineComponent } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { component, startRuntime, temporaryFolder } from "../../test/helpers.js";
import { checkResources } from "../index.js";

/** A pubsub that can do nothing beyond the core. */
const plain = defineComponent({
  ...memory,
  type: "plain",
  serves: { pubsub: { features: [], durability: { HOST: "always" } } },
});
/** Serves something else. */
const store = defineComponent({
  ...memory,
  type: "store",
  serves: { state: { features: [], durability: { HOST: "always" } } },
});

const components = `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: events }
spec: { type: memory, blocks: [pubsub], default: true }
---
apiVersion: mecha.dev/v1
kind: Component
metadata: { name: bare }
spec: { type: plain }
---
apiVersion: mecha.dev/v1
kind: Component
metadata: { name: items }
spec: { type: store }
---
`;
const firstLine = components.split("\n").length;

/** A subscription whose spec is these lines, the first of which is line 5 of its document. */
const document = (name: string, ...spec: string[]) =>
  [
    "apiVersion: mecha.dev/v1",
    "kind: Subscription",
    `metadata: { name: ${name} }`,
    "spec:",
    ...spec.map((line) => `  ${line}`),
  ].join("\n");

/** The problems of subscriptions, by the line of the document of the first. */
async function check(...documents: string[]): Promise<string[]> {
  const folder = temporaryFolder();
  const file = join(folder, "mecha.yaml");
  writeFileSync(file, components + documents.join("\n---\n"));
  const { problems } = await checkResources({ resources: [file], components: [memory, plain, store], environment: {} });
  return problems.map(({ source, message }) => `${Number(/\d+$/.exec(source)?.[0]) - firstLine + 1}: ${message}`);
}

describe("a subscription resource", () => {
  it("needs a topic and a path, and may say more", async () => {
    expect(await check(document("a", "topic: orders", "path: /orders"))).toEqual([]);
    const everything = [
      "pubsub: events",
      "topic: orders",
      "group: mail",
      'filter: event.type == "order.placed"',
      "rules:",
      "  - { match: data.total > 100, path: /large }",
      "noMatch: ack",
      "format: batched",
      "batch: { maxEvents: 10, maxBytes: 65536, maxWait: 100ms }",
      "retry: { maxAttempts: 5, minBackoff: 0.5s, maxBackoff: 1m }",
      "ackTimeout: 10s",
      "ordered: true",
      "start: 2026-11-21T10:00:00Z",
      "concurrency: 4",
      "scopes: [shop]",
    ];
    expect(await check(document("a", ...everything))).toEqual([]);
  });

  it.each<[string[], string]>([
    [["path: /orders"], '4: it needs one of "topic" and "binding": say where its events come from'],
    [
      ["topic: orders"],
      '4: it has neither "path" nor "rules"; say which path of the app the events are posted to: path: /orders',
    ],
    [
      ["topic: orders", "path: orders"],
      '6: "spec.path" is not valid: must be a path of the app, beginning with "/", without spaces or "#"',
    ],
    [["topic: orders", "pth: /orders"], '6: unknown field "pth"; did you mean "path"?'],
    [
      ["topic: orders", "path: /orders", "filter: event.type =="],
      '7: "spec.filter" is no CEL expression: 1:12: found = but expecting end of input (line:column); see https://cel.dev',
    ],
    [
      ["topic: orders", "rules:", '  - { match: "true", path: /a }', "  - { path: /b, match: data. }"],
      '8: "spec.rules[1].match" is no CEL expression: 1:5: found . but expecting end of input (line:column); see https://cel.dev',
    ],
    [
      ["topic: orders", "path: /orders", "noMatch: ack"],
      '7: "noMatch" would never be asked: "path" takes what no rule matches; remove one of them',
    ],
    [
      ["topic: orders", "path: /orders", "batch: { maxEvents: 2 }"],
      '7: "batch" is for format: batched; this one is binary',
    ],
    [["topic: orders", "path: /orders", "ackTimeout: 30"], '7: "spec.ackTimeout" must be a string, not a number'],
    [
      ["topic: orders", "path: /orders", "ackTimeout: 2h"],
      '7: "spec.ackTimeout" is not valid: write a number and its unit: "250ms", "30s", "10m"; 1s to 1h are allowed',
    ],
    [
      ["topic: orders", "path: /orders", "format: batched", "batch: { maxWait: 20s }"],
      '8: "batch.maxWait" must be at most half of "ackTimeout": the app needs its time too',
    ],
    [
      ["topic: orders", "path: /orders", "retry: { minBackoff: 2m, maxBackoff: 1m }"],
      '7: "retry.maxBackoff" is less than "retry.minBackoff"',
    ],
    [
      ["topic: orders", "path: /orders", "start: yesterday"],
      '7: "spec.start" is not valid: must be "new", "earliest" or a time: "2026-11-21T10:00:00Z"',
    ],
    [["topic: orders", "path: /orders", "pubsub: evnts"], '7: there is no component "evnts"; did you mean "events"?'],
    [
      ["topic: orders", "path: /orders", "pubsub: items"],
      '7: component "items" does not serve block "pubsub"; it serves: state',
    ],
    [
      ["topic: orders", "path: /orders", "pubsub: bare", "ordered: true"],
      '8: component "bare" (plain) has no feature ORDERED; it has: none',
    ],
    [
      ["topic: orders", "path: /orders", "pubsub: bare", "start: earliest"],
      '8: component "bare" (plain) has no feature REPLAY: a group can only start: new; it has: none',
    ],
  ])("that is wrong hears of it at its line: %j", async (spec, problem) => {
    expect(await check(document("a", ...spec))).toEqual([problem]);
  });

  it("takes a group for itself, whatever the group is called", async () => {
    const first = document("a", "topic: orders", "path: /a", "ackTimeout: 10s");
    const same = document("b", "topic: orders", "path: /b", "ackTimeout: 10s");
    const other = document("c", "pubsub: events", "group: app", "topic: orders", "path: /c");
    const problems = await check(first, same, other);
    expect(problems.map((problem) => problem.replace(/at \S+mecha.yaml/, "at mecha.yaml"))).toEqual([
      `12: subscription "a" at mecha.yaml:${firstLine} takes from group "app" of topic "orders" (component "events") too: each event would go to one of the two; give one another group`,
      `22: subscription "a" at mecha.yaml:${firstLine} has other settings for group "app" of topic "orders" (component "events"): ackTimeoutMs; a group has one of each: give one another group`,
    ]);
  });

  it("may have the group of another that is for other apps", async () => {
    const of = (name: string) => document(name, "topic: orders", "path: /orders", `scopes: [${name}]`);
    expect(await check(of("shop"), of("billing"))).toEqual([]);
  });

  it("has a name of its own among subscriptions", async () => {
    const problems = await check(
      document("events", "topic: orders", "path: /orders"),
      document("events", "topic: mails", "path: /mails"),
    );
    expect(problems).toEqual([expect.stringMatching(/^10: there is another subscription "events" at .*; rename one$/)]);
  });

  it("cannot be delivered where the app has no port that is known", async () => {
    const resource = {
      apiVersion: "mecha.dev/v1" as const,
      kind: "Subscription",
      metadata: { name: "orders" },
      spec: { topic: "orders", path: "/orders" },
    };
    await expect(startRuntime({ resources: [component("memory"), resource] })).rejects.toThrow(
      'resources[1]: subscription "orders": it posts to the app, whose port is not known: say --app-port (appPort), or remove the subscription',
    );
    // Another app's is no business of this one.
    const others = { ...resource, spec: { ...resource.spec, scopes: ["billing"] } };
    const runtime = await startRuntime({ resources: [component("memory"), others] });
    expect(runtime.info().subscriptions).toEqual([]);
  });
});

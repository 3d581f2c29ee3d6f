import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ComponentError } from "@mecha/component";
import { describe, expect, test } from "vitest";
import { component, temporaryFolder, until } from "../../test/helpers.js";
import { createWorld, publish, refusal, set, storeAndEvents } from "../../test/outbox.js";

/** An app on a resource file that the test changes; its pubsub is away. */
async function startOnFile() {
  const file = join(temporaryFolder(), "mecha.yaml");
  let versions = 0;
  // JSON is YAML; a document a line, and a comment, so that the same resources are a change too.
  const write = (resources: readonly object[]) => {
    const documents = resources.map((one) => JSON.stringify(one)).join("\n---\n");
    writeFileSync(file, `${documents}\n# ${++versions}\n`);
  };
  write(storeAndEvents);
  const world = await createWorld();
  world.events.fault = () => new ComponentError("COMPONENT_UNAVAILABLE", "the test says so");
  const app = await world.start({ resources: [file], watchResources: true });
  const names = async () => (await app.runtimeService.getInfo({})).components.map(({ name }) => name);
  const refusals = async () =>
    (await app.runtimeService.listResources({})).resources.map(({ error }) => error).join("");
  return { ...world, app, write, names, refusals };
}

const [main, events] = storeAndEvents as [object, object];

describe("while events wait", () => {
  test.each([
    ["the store is removed", [events], "main"],
    ["the store gets another type", [component("main", { default: ["state"] }), events], "main"],
    [
      "the store gets another keyspace",
      [component("main", { type: "store", default: ["state"], keyspace: "shared" }), events],
      "main",
    ],
    ["the pubsub is removed", [main], "events"],
    ["the pubsub gets another type", [main, component("events", { default: ["pubsub"] })], "events"],
    ["the pubsub serves it no more", [main, component("events", { type: "events", blocks: ["state"] })], "events"],
    [
      "the pubsub is for others only",
      [main, component("events", { type: "events", default: ["pubsub"], scopes: ["billing"] })],
      "events",
    ],
  ])("a change by which %s is refused, says what waits, and is taken when nothing does", async (_, changed, named) => {
    const { app, write, refusals, events: controls, passes, logged } = await startOnFile();
    await app.transact(set("a"), publish("orders", "1"), publish("orders", "2"));
    write(changed);
    await until(async () => (await refusals()) !== "", "the change is refused");
    expect(await refusals()).toContain('2 events wait in the outbox of component "main" for component "events"');
    expect(await refusals()).toContain(`"${named}" cannot be`);
    await app.transact(set("b"), publish("orders", "3"));
    expect(await app.backlog()).toBe(3);

    controls.fault = undefined;
    await passes("all is handed over", async () => (await app.backlog()) === 0);
    const taken = () => logged.filter(({ message }) => message === "resources changed and taken").length;
    const before = taken();
    write(changed);
    await until(() => taken() > before, "the change is taken");
    expect(await refusals()).toBe("");
  });

  test("other changes are taken", async () => {
    const { app, write, names, refusals } = await startOnFile();
    await app.transact(set("a"), publish("orders", "1"));
    write([
      main,
      component("events", { type: "events", default: ["pubsub"], config: { retainedEvents: 5 } }),
      component("new"),
    ]);
    await until(async () => (await names()).includes("new"), "the change is taken");
    expect(await refusals()).toBe("");
    expect(await app.backlog()).toBe(1);
  });
});

test("what is on its way has a moment to go, and no transaction adds to it meanwhile", async () => {
  const { app, write, names, events: controls, clock } = await startOnFile();
  await app.transact(set("a"), publish("orders", "1"));
  write([main, component("other", { default: ["pubsub"] })]);
  await until(
    async () => (await refusal(app.transact(publish("orders", "2")))).reason === "COMPONENT_REPLACED",
    "it is being removed",
  );
  controls.fault = undefined;
  await until(async () => {
    clock.advance(500);
    return !(await names()).includes("events");
  }, "it is removed");
  expect(await refusal(app.transact(publish("orders", "2", {}, "events")))).toMatchObject({
    reason: "COMPONENT_NOT_FOUND",
  });
});

test("a store that does not answer keeps nobody waiting: GetInfo leaves it out, and its removal is refused", async () => {
  const { app, write, refusals, main: controls } = await startOnFile();
  await app.transact(set("a"), publish("orders", "1"));
  controls.backlogFault = "hangs";
  expect(await app.backlog()).toBeUndefined();
  write([events]);
  await until(async () => (await refusals()) !== "", "the change is refused");
  expect(await refusals()).toContain("no answer within");
});

test.each([
  ["refused if something was published to the other component", true],
  ["taken if nothing ever was", false],
])("the removal of a store that is away is %s", async (_, isUsed) => {
  const { app, write, names, refusals, main: controls } = await startOnFile();
  if (isUsed) await app.transact(set("a"), publish("orders", "1"));
  controls.backlogFault = new Error("the test says so");
  write([events]);
  if (isUsed) {
    await until(async () => (await refusals()) !== "", "the change is refused");
    expect(await refusals()).toContain("events may wait (the test says so)");
  } else await until(async () => !(await names()).includes("main"), "the change is taken");
});

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { RuntimeService } from "@mecha/api/runtime";
import { describe, expect, it } from "vitest";
import { startApp, type TestApp } from "../../test/app.js";
import { component, temporaryFolder, until } from "../../test/helpers.js";
import { attempts, ids, start, subscription } from "../../test/subscriptions.js";

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

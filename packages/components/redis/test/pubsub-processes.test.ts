import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { claimScript } from "../src/pubsub/claim-script.js";
import { publishScript } from "../src/pubsub/publish-scripts.js";
import { startCuttingProxy } from "./cutting-proxy.js";
import { ack, entryOf, GroupKit, nameOf, pubsubOf, take, takeNow } from "./events.js";
import { command, eventually } from "./kit.js";

interface Report {
  readonly published?: string;
  readonly received?: readonly string[];
}

/** @param leaseMs short: what a killed process held comes again soon */
async function startProcess(
  url: string,
  mode: "publish" | "both",
  leaseMs: number,
  onReport: (report: Report) => void,
) {
  const path = fileURLToPath(new URL("events-process.ts", import.meta.url));
  const child: ChildProcess = fork(path, [url, mode, String(leaseMs)], { execArgv: [] });
  const exit = once(child, "exit").then(([code]) => {
    throw new Error(`the process ended with ${code}`);
  });
  await Promise.race([once(child, "message"), exit]);
  exit.catch(() => {}); // From here on it is killed.
  child.on("message", onReport);
  return {
    publish: (name: string) => child.send({ name }),
    async kill() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}

describe.skipIf(missing("redis"))("events between processes", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("SIGKILL of publishers and consumers at random moments loses no event whose publish was answered", {
    timeout: 120_000,
  }, async () => {
    // What a killed process held comes again later, and is nothing for the other tests.
    await using own = await startRedis();
    const component = await startComponent(redis, { url: own.url });
    const group = await new GroupKit(pubsubOf(component)).open();
    const published = new Set<string>();
    const received = new Set<string>();
    for (let round = 0; round < 8; round++) {
      const before = published.size;
      const child = await startProcess(own.url, "both", 300, (report) => {
        if (report.published !== undefined) published.add(report.published);
        for (const name of report.received ?? []) received.add(name);
      });
      await eventually("events flow", () => published.size > before + 20 && received.size > 0, 20_000);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60)); // A random moment to die at.
      await child.kill();
    }
    const source = group.consume();
    await eventually(
      "all that was answered has come",
      async () => {
        const leases = await take(source, 100, 500);
        for (const lease of leases) received.add(nameOf(lease));
        await ack(source, leases);
        return [...published].every((name) => received.has(name));
      },
      30_000,
    );
    await component.close();
  });

  test("an event wakes a consumer in another process at once, not at its next look", { timeout: 60_000 }, async () => {
    const component = await startComponent(redis, { url: server.url });
    const group = await new GroupKit(pubsubOf(component)).open();
    const source = group.consume();
    const child = await startProcess(server.url, "publish", 30_000, () => {});
    const latencies: number[] = [];
    for (let count = 0; count < 15; count++) {
      const waiting = take(source, 1);
      const sent = performance.now();
      child.publish(`wake ${count}`);
      const leases = await waiting;
      latencies.push(performance.now() - sent);
      expect(leases.map(nameOf)).toEqual([`wake ${count}`]);
      await ack(source, leases);
    }
    latencies.sort((a, b) => a - b);
    // Each look comes 1000 ms after the wait began; a busy machine may be slow now and then, but not most of the time.
    expect(latencies[7], `${latencies.map(Math.round).join(" ")} ms`).toBeLessThan(600);
    await child.kill();
    await component.close();
  });

  test("one connection waits for all groups of a process", async () => {
    await using own = await startRedis();
    const component = await startComponent(redis, { url: own.url });
    const groups = await Promise.all(
      Array.from({ length: 50 }, (_, index) => new GroupKit(pubsubOf(component), `many-${index}`).open()),
    );
    const waiting = groups.map((group) => take(group.consume(), 1));
    await groups[0]?.publish(...groups.map(({ topic }) => entryOf(topic, topic)));
    const names = (await Promise.all(waiting)).flat().map(nameOf);
    expect(new Set(names)).toEqual(new Set(groups.map(({ topic }) => topic)));
    const [list] = await command(own.url, ["CLIENT", "LIST"]);
    // One for commands, one that listens, and the one that asks.
    expect(String(list).trim().split("\n")).toHaveLength(3);
    await component.close();
  });

  test("a claim whose answer is lost costs neither its lease's time nor an attempt, in either kind of group", async () => {
    await using proxy = await startCuttingProxy(server.port);
    const component = await startComponent(redis, { url: proxy.url });
    for (const ordered of [false, true]) {
      const topic = `lost-claim-${ordered}`;
      const group = await new GroupKit(pubsubOf(component), topic).open({ ordered });
      await group.publish(...["a", "b", "a"].map((orderingKey) => entryOf(topic, orderingKey, { orderingKey })));
      const source = group.consume();
      const cut = async () => {
        const { cuts } = proxy;
        proxy.cutAnswerTo(claimScript.sha1);
        await expect(takeNow(source)).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
        expect(proxy.cuts).toBe(cuts + 1);
      };
      await cut();
      await cut(); // The claim that hands the first one's leases back leases anew.
      const leases = await take(source);
      expect(leases.map(({ attempt }) => attempt)).toEqual(ordered ? [1, 1] : [1, 1, 1]);
      await ack(source, leases);
      await cut();
      await source.close();
      expect(await pubsubOf(component).backlog(group.call)).toBe(ordered ? 1 : 0);
      if (ordered) expect((await take(group.consume())).map(({ attempt }) => attempt)).toEqual([1]);
    }
    await component.close();
  });

  test("a publish whose answer is lost is done once, and says so", async () => {
    await using proxy = await startCuttingProxy(server.port);
    const component = await startComponent(redis, { url: proxy.url });
    const pubsub = pubsubOf(component);
    const group = await new GroupKit(pubsub, "lost-publish").open();
    await group.names("first"); // The server knows the script.
    const entries = ["second", "third"].map((name) => entryOf(group.topic, name));
    proxy.cutAnswerTo(publishScript.sha1);
    const published = { type: "published", duplicate: false };
    expect(await pubsub.publish({ keyspace: "default", entries })).toEqual([published, published]);
    expect(proxy.cuts).toBe(1);
    expect(await pubsub.backlog(group.call)).toBe(3);
    expect(await pubsub.publish({ keyspace: "default", entries })).toEqual([
      { type: "published", duplicate: true },
      { type: "published", duplicate: true },
    ]);
    await component.close();
  });
});

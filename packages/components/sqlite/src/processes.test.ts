import { setTimeout as delay } from "node:timers/promises";
import { startComponent } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { keys, keyspace, set, stateOf, text } from "../test/operations.ts";
import { type RemoteComponent, startRemoteProcess } from "../test/remote-component.ts";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { sqlite } from "./index.js";

test("eight processes that create the file at the same moment all serve it", { timeout: 60_000 }, async () => {
  const remotes = await Promise.all(Array.from({ length: 8 }, () => startRemoteProcess()));
  for (let round = 0; round < 10; round++) {
    const dataDir = temporaryFolder();
    const components = await Promise.all(remotes.map((remote) => remote.open(dataDir)));
    await Promise.all(components.map(({ state }, index) => set(state, [`key-${index}`, "v"])));
    for (const { state } of components) expect(await keys(state)).toHaveLength(8);
    await Promise.all(components.map((component) => component.close()));
  }
  await Promise.all(remotes.map((remote) => remote.stop()));
});

/** Writes with several callers until it fails; what was acknowledged. Every transaction writes two keys alike, and one of its own. */
async function writeUntilKilled({ state }: RemoteComponent, round: number, acknowledged: () => void) {
  const last = new Map<number, number>();
  const own: string[] = [];
  const caller = async (id: number) => {
    for (let count = 1; ; count++) {
      const key = `own/${round}/${id}/${count}`;
      try {
        await set(state, [`left/${round}/${id}`, `${count}`], [`right/${round}/${id}`, `${count}`], [key, "v"]);
      } catch {
        return;
      }
      last.set(id, count);
      own.push(key);
      acknowledged();
    }
  };
  await Promise.all(Array.from({ length: 16 }, (_, id) => caller(id)));
  return { last, own };
}

test("SIGKILL at random moments loses nothing acknowledged and leaves no half transaction", {
  timeout: 120_000,
}, async () => {
  const dataDir = temporaryFolder();
  let acknowledged = 0;
  for (let round = 0; round < 20; round++) {
    // Every other time a second process survives, and must not be held up by what the killed one left.
    const survivor = round % 2 === 0 ? undefined : await startComponent(sqlite, {}, { dataDir });
    const remote = await startRemoteProcess();
    const begun = Promise.withResolvers<void>();
    const writing = writeUntilKilled(await remote.open(dataDir), round, begun.resolve);
    // However slow the machine is, there is something to lose when it is killed.
    await begun.promise;
    await delay(20 + Math.random() * 150);
    await remote.kill();
    const { last, own } = await writing;
    acknowledged += own.length;

    const component = survivor ?? (await startComponent(sqlite, {}, { dataDir }));
    const state = stateOf(component);
    await set(state, [`after/${round}`, "v"]);
    const present = new Set(await keys(state, `own/${round}/`));
    expect(own.filter((key) => !present.has(key))).toEqual([]);
    for (const [id, count] of last) {
      const left = await text(state, `left/${round}/${id}`);
      expect(await text(state, `right/${round}/${id}`)).toBe(left);
      expect(Number(left)).toBeGreaterThanOrEqual(count);
      expect(present.has(`own/${round}/${id}/${left}`)).toBe(true);
    }
    await component.close();
  }
  expect(acknowledged).toBeGreaterThan(100);
});

test("two processes that write at once both come to it", { timeout: 30_000 }, async () => {
  const dataDir = temporaryFolder();
  const remote = await startRemoteProcess();
  const [here, there] = [await startComponent(sqlite, {}, { dataDir }), await remote.open(dataDir)];
  const end = performance.now() + 1_500;
  const write = async (state: RemoteComponent["state"], name: string) => {
    let count = 0;
    const caller = async (id: number) => {
      for (; performance.now() < end; count++) await set(state, [`${name}/${id}`, String(count)]);
    };
    await Promise.all(Array.from({ length: 16 }, (_, id) => caller(id)));
    return count;
  };
  const counts = await Promise.all([write(stateOf(here), "here"), write(there.state, "there")]);
  expect(Math.min(...counts)).toBeGreaterThan(Math.max(...counts) / 20);
  await Promise.all([here.close(), there.close()]);
  await remote.stop();
});

test("a watch hears of another process's write within 20 ms", { timeout: 30_000 }, async () => {
  const dataDir = temporaryFolder();
  const remote = await startRemoteProcess();
  const [here, there] = [await startComponent(sqlite, {}, { dataDir }), await remote.open(dataDir)];
  const seen = new Map<string, number>();
  const { signal, abort } = controller();
  const watching = (async () => {
    const call = { keyspace, target: { prefix: "" }, resumeToken: undefined, signal };
    for await (const batch of stateOf(here).watch(call)) {
      for (const change of batch) if (change.type === "item") seen.set(change.item.key, performance.now());
    }
  })();
  const latencies: number[] = [];
  for (let round = 0; round < 30; round++) {
    const key = `key-${round}`;
    await set(there.state, [key, "v"]);
    const answered = performance.now();
    while (!seen.has(key)) await delay(1);
    latencies.push(Math.max(0, (seen.get(key) ?? 0) - answered));
  }
  latencies.sort((a, b) => a - b);
  // The median, because the machine that runs this test may have other things to do.
  expect(latencies[15]).toBeLessThan(20);
  abort();
  await watching;
  await Promise.all([here.close(), there.close()]);
  await remote.stop();
});

function controller() {
  const abortController = new AbortController();
  return { signal: abortController.signal, abort: () => abortController.abort() };
}

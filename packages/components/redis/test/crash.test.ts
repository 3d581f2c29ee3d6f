import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { redis } from "../src/index.js";
import { eventually, stateOf, textOf } from "./kit.js";

const writerPath = fileURLToPath(new URL("crash-writer.ts", import.meta.url));
const rounds = 20;

/** A process that writes under load; resolves when it has acknowledged something. */
async function startWriter(server: TestServer, name: string, acknowledged: Map<string, number>) {
  const child = spawn(process.execPath, [writerPath, server.url, name], { stdio: ["ignore", "pipe", "inherit"] });
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [caller = "", round] = line.split(" ");
      acknowledged.set(caller, Number(round));
    }
  });
  await eventually("the writer writes", () => {
    if (child.exitCode !== null) throw new Error(`the writer ended with ${child.exitCode}`);
    return [...acknowledged.keys()].some((caller) => caller.startsWith(`${name}-`));
  });
  return {
    async kill() {
      const closed = once(child, "close");
      child.kill("SIGKILL");
      await closed;
    },
  };
}

async function expectNothingLost(server: TestServer, acknowledged: ReadonlyMap<string, number>) {
  const component = await startComponent(redis, { url: server.url });
  const state = stateOf(component);
  for (const [caller, round] of acknowledged) {
    const keys = ["a", "b", "c"].map((part) => `${caller}-${part}`);
    const items = await state.getMany({ keyspace: "test/crash", keys, maxBytes: 1_000_000 });
    const values = new Set(items.map((item) => textOf(item.value)));
    expect(items.length, `${caller} has all three`).toBe(3);
    expect(values.size, `${caller}'s transaction is whole`).toBe(1);
    expect(Number([...values][0]), `${caller}'s acknowledged write is there`).toBeGreaterThanOrEqual(round);
  }
  await component.close();
}

describe.skipIf(missing("redis"))("SIGKILL under write load, with AOF always", () => {
  test(`of the writing process, ${rounds} times: nothing acknowledged is lost, nothing is done by half`, {
    timeout: 120_000,
  }, async () => {
    await using server = await startRedis();
    const acknowledged = new Map<string, number>();
    for (let round = 0; round < rounds; round++) {
      const writer = await startWriter(server, `writer-${round}`, acknowledged);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60)); // A random moment to die at.
      await writer.kill();
    }
    expect(acknowledged.size).toBeGreaterThan(rounds);
    await expectNothingLost(server, acknowledged);
  });

  test(`of the server, ${rounds} times: nothing acknowledged is lost, nothing is done by half`, {
    timeout: 120_000,
  }, async () => {
    await using server = await startRedis();
    const acknowledged = new Map<string, number>();
    const component = await startComponent(redis, { url: server.url });
    const state = stateOf(component);
    let running: boolean = true;
    const callers = Array.from({ length: 16 }, async (_, index) => {
      for (let round = 0; running; round++) {
        const value = Buffer.from(String(round));
        const operations = ["a", "b", "c"].map((part) => {
          const key = `server-${index}-${part}`;
          return { type: "set", key, value, contentType: "", ttlMs: undefined, precondition: undefined } as const;
        });
        const done = await Promise.resolve(
          state.write({ keyspace: "test/crash", operations, requestId: undefined }),
        ).then(
          () => true,
          () => false,
        );
        if (done) acknowledged.set(`server-${index}`, round);
        else await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    for (let round = 0; round < rounds; round++) {
      acknowledged.clear();
      await eventually("writes are acknowledged", () => acknowledged.size >= 8);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
      await server.kill();
      const before = new Map(acknowledged);
      await server.start();
      await expectNothingLost(server, before);
    }
    running = false;
    await Promise.all(callers);
    await component.close();
  });
});

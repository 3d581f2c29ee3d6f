import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { open, textOf } from "../test/support.js";

const kills = 20;
const callers = 16;

describe.skipIf(missing("postgres"))("a process that is killed", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  /** Lets a process write for a moment, kills it, and returns what it was told is stored. */
  async function killAtWork(aliveMs: number): Promise<Map<string, number>> {
    const program = join(import.meta.dirname, "../test/writer.ts");
    const child = spawn(process.execPath, [program, server.url, String(callers)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const acknowledged = new Map<string, number>();
    const lines = createInterface(child.stdout);
    lines.on("line", (line) => {
      const [key = "", number] = line.split(" ");
      acknowledged.set(key, Number(number));
    });
    await once(lines, "line");
    await new Promise((resolve) => setTimeout(resolve, aliveMs));
    child.kill("SIGKILL");
    await once(lines, "close");
    return acknowledged;
  }

  test(`loses no acknowledged write and leaves no half transaction, ${kills} times`, { timeout: 120_000 }, async () => {
    await using opened = await open(server);
    let writes = 0;
    for (let round = 0; round < kills; round++) {
      const acknowledged = await killAtWork(Math.random() * 200);
      for (const [key, number] of acknowledged) {
        writes += number;
        // In one snapshot: the server may be doing the last statement of the dead process still.
        const keys = key.endsWith("left") ? [key, key.replace("left", "right")] : [key];
        const items = await opened.store.getMany({ keyspace: "default/crash", keys, maxBytes: 1_000 });
        const [stored, other = stored] = items.map((item) => Number(textOf(item)));
        // The last one may have been done without being acknowledged.
        expect([number, number + 1], key).toContain(stored);
        expect([items.length, other], `${key} and its other half`).toEqual([keys.length, stored]);
      }
    }
    expect(writes, "the processes wrote before they were killed").toBeGreaterThan(kills * callers);
  });
});

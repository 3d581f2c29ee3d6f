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

  /** Kills a process when it was told of so many writes, and returns what it was told is stored. */
  async function killAfter(acknowledgements: number): Promise<Map<string, number>> {
    const program = join(import.meta.dirname, "../test/writer.ts");
    const child = spawn(process.execPath, [program, server.url, String(callers)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const acknowledged = new Map<string, number>();
    let count = 0;
    const lines = createInterface(child.stdout);
    lines.on("line", (line) => {
      const [key = "", number] = line.split(" ");
      acknowledged.set(key, Number(number));
      if (++count === acknowledgements) child.kill("SIGKILL");
    });
    await once(lines, "close");
    expect(child.signalCode ?? (await once(child, "exit"))[1]).toBe("SIGKILL");
    return acknowledged;
  }

  test(`loses no acknowledged write and leaves no half transaction, ${kills} times`, { timeout: 120_000 }, async () => {
    await using opened = await open(server);
    for (let round = 0; round < kills; round++) {
      const acknowledged = await killAfter(1 + Math.floor(Math.random() * 300));
      for (const [key, number] of acknowledged) {
        // In one snapshot: the server may be doing the last statement of the dead process still.
        const keys = key.endsWith("left") ? [key, key.replace("left", "right")] : [key];
        const items = await opened.store.getMany({ keyspace: "default/crash", keys, maxBytes: 1_000 });
        const [stored, other = stored] = items.map((item) => Number(textOf(item)));
        // The last one may have been done without being acknowledged.
        expect([number, number + 1], key).toContain(stored);
        expect([items.length, other], `${key} and its other half`).toEqual([keys.length, stored]);
      }
    }
  });
});

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { mecha, type Running, serve, temporaryFolder, until } from "./cli.js";

// State in sqlite, events in memory: which knows no metadata, and refuses what has some when it is handed over.
const resources = ["main: sqlite: state", "events: memory: pubsub"].map((line) => {
  const [name, type, block] = line.split(": ");
  return `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: ${name} }
spec: { type: ${type}, default: [${block}], acceptDurability: PROCESS }
`;
});

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let runtime: Running & { endpoint: string };

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(join(folder.path, "mecha.yaml"), resources.join("---\n"));
  runtime = await serve([], { cwd: folder.path });
});
afterAll(async () => {
  await runtime[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const run = (...args: string[]) => mecha(args, { cwd: folder.path, env: { MECHA_ENDPOINT: runtime.endpoint } });

async function publishRefused(id: string): Promise<void> {
  const entry = { topic: "orders", metadata: { "no-such-key": "1" }, event: { id, data: btoa(`data of ${id}`) } };
  const response = await fetch(`${runtime.endpoint}/mecha.state.v1.StateService/Transact`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ operations: [{ publish: { entry } }] }),
  });
  expect(response.status).toBe(200);
}

const listed = async () =>
  (await run("outbox", "list", "--json")).stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { deadLetterId: string; topic: string; error: string; event: { id: string } });

it("lists what a pubsub has refused of the events of transactions, requeues and drops it", async () => {
  expect(await run("outbox", "list")).toMatchObject({ code: 0, stdout: "" });
  await publishRefused("e-1");
  await publishRefused("e-2");
  const letters = await until(async () => {
    const found = await listed();
    return found.length === 2 && found;
  });
  expect(letters.map(({ event }) => event.id)).toEqual(["e-1", "e-2"]);
  expect(letters[0]).toMatchObject({ topic: "orders", error: expect.stringContaining("no-such-key") });
  const text = (await run("outbox", "list", "--limit", "1")).stdout;
  expect(text).toContain("event e-1");
  expect(text).not.toContain("e-2");

  expect(await run("outbox", "requeue", "--id", letters[0]?.deadLetterId ?? "")).toMatchObject({
    stdout: "requeued 1\n",
  });
  // It is refused once more, and so is the youngest now.
  await until(async () => (await listed()).map(({ event }) => event.id).join() === "e-2,e-1");
  expect((await run("info")).stdout).toMatch(/OUTBOX OF +FOR +EVENTS WAITING\n *main +events +0/);
  expect(await run("outbox", "drop", "--all", "--json")).toMatchObject({ stdout: '{"count":2}\n' });
  expect(await listed()).toEqual([]);
});

it("says what it needs, and whose outbox there is none of", async () => {
  expect(await run("outbox", "requeue")).toMatchObject({ code: 2, stderr: expect.stringContaining("--all") });
  const none = await run("outbox", "list", "--pubsub", "no-such");
  expect(none.code).not.toBe(0);
  expect(none.stderr).toContain('there is no component "no-such"');
});

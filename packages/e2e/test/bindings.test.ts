import { createHmac } from "node:crypto";
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createBindingClient, MechaError } from "@mecha/binding";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Served, serveMecha } from "../src/mecha.ts";

const component = (name: string, type: string, config: unknown) => `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: ${name} }
spec: { type: ${type}, config: ${JSON.stringify(config)} }
---
`;

function connect({ endpoint }: Served) {
  const client = createBindingClient({ endpoint });
  onTestFinished(() => client.close());
  return client;
}

async function until(holds: () => boolean, what: string, withinMs = 60_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !holds(); await new Promise((resolve) => setTimeout(resolve, 10))) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

describe("a cron", () => {
  test("fires once for two runtimes of an app, each killed again and again, and misses nothing", async () => {
    const resources = component("tick", "cron", { schedule: "* * * * * *", catchUp: "all" });
    await using first = await serveMecha({ resources });
    await using second = await serveMecha({ folder: first.folder });
    const fired: { id: string; attempt: number }[] = [];
    for (const runtime of [first, second]) {
      const sub = connect(runtime).subscribe("tick", ({ id, attempt }) => void fired.push({ id, attempt }), {
        ackTimeout: "5s",
        reconnectTimeoutMs: 60_000,
      });
      sub.closed.catch(() => {});
    }
    let kills = 0;
    for (const victim of [first, second, first]) {
      const before = fired.length;
      await until(() => fired.length >= before + 3, "it goes on firing");
      await victim.kill("SIGKILL");
      kills += 1;
      const meanwhile = fired.length;
      await until(() => fired.length >= meanwhile + 2, "the other one fires");
      await victim.start();
    }
    const last = fired.at(-1)?.id ?? "";
    const times = [...new Set(fired.map(({ id }) => Date.parse(id)))].toSorted((a, b) => a - b);
    const begin = times[0] ?? 0;
    const all = Array.from({ length: (Date.parse(last) - begin) / 1000 + 1 }, (_, second) => begin + second * 1000);
    expect(times, "every second, none left out").toEqual(all);
    const twice = fired.filter(({ attempt }) => attempt > 1);
    expect(fired.length - times.length, "what comes again was with a runtime that was killed").toBeLessThanOrEqual(
      kills,
    );
    expect(twice.length).toBeLessThanOrEqual(kills);
  }, 240_000);
});

describe("a webhook", () => {
  const secret = "a secret of some length";
  const post = async ({ endpoint }: Served, body: string, key = secret) => {
    const signature = `sha256=${createHmac("sha256", key).update(body).digest("hex")}`;
    const headers = { "x-hub-signature-256": signature, "content-type": "application/json" };
    return (await fetch(`${endpoint}/webhook/hook`, { method: "POST", body, headers })).status;
  };

  test("is answered 200 once the app has it, and 503 or nothing as long as it has not, killed in between", async () => {
    const env = { MECHA_API_TOKEN: "a token that senders do not know" };
    const resources = component("hook", "webhook", { secrets: [secret], timeoutMs: 2_000 });
    await using mecha = await serveMecha({ resources, env });
    expect(await post(mecha, '{"n":0}'), "nobody takes it").toBe(503);
    expect(await post(mecha, '{"n":0}', "another secret")).toBe(401);

    const bindings = createBindingClient({ endpoint: mecha.endpoint, token: env.MECHA_API_TOKEN });
    onTestFinished(() => bindings.close());
    const done = new Set<number>();
    bindings.subscribe<{ n: number }>("hook", ({ data }) => void done.add(data.n));
    const answered = new Set<number>();
    /** Sends again until it is answered, as senders do. */
    const send = async (n: number) => {
      for (;;) {
        const status = await post(mecha, JSON.stringify({ n })).catch(() => 0);
        if (status === 200) return answered.add(n);
        expect([0, 503]).toContain(status);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const sending = Promise.all(
      Array.from({ length: 4 }, async (_, sender) => {
        for (let n = 0; n < 50; n++) {
          await send(sender * 50 + n);
          expect(done, "what was answered was done before").toContain(sender * 50 + n);
        }
      }),
    );
    for (const count of [20, 60, 100]) {
      await until(() => answered.size >= count, "requests are answered");
      await mecha.kill("SIGKILL");
      await mecha.start();
    }
    await sending;
    expect([...answered].filter((n) => !done.has(n))).toEqual([]);
    expect(answered.size).toBe(200);
  }, 240_000);
});

test("a bad call of a binding is told what is wrong, and nothing else is disturbed", async () => {
  const resources = component("files", "localfile", { root: "data", create: true }) + component("api", "http", {});
  await using mecha = await serveMecha({ resources });
  const bindings = connect(mecha);
  const outside = join(mecha.folder, "outside");
  mkdirSync(outside);
  onTestFinished(() => rmSync(outside, { recursive: true, force: true }));
  writeFileSync(join(outside, "secret"), "secret");
  symlinkSync(outside, join(mecha.folder, "data/link"));
  const reasonOf = (binding: string, operation: string, metadata: Record<string, string>, data?: unknown) =>
    bindings.invoke(binding, operation, data, { metadata }).then(
      () => "it did not fail",
      (error: unknown) => (error instanceof MechaError ? error.reason : String(error)),
    );
  const bad: [string, string, Record<string, string>, string][] = [
    ["files", "read", { path: "../outside/secret" }, "BAD_REQUEST"],
    ["files", "read", { path: "link/secret" }, "BAD_REQUEST"],
    ["files", "write", { path: "link/new" }, "BAD_REQUEST"],
    ["files", "read", { path: join(outside, "secret") }, "BAD_REQUEST"],
    ["files", "read", { path: "missing" }, "NOT_EXISTS"],
    ["files", "raed", { path: "a" }, "BAD_REQUEST"],
    ["files", "read", {}, "BAD_REQUEST"],
    ["files", "read", { path: "a", mode: "r" }, "BAD_REQUEST"],
    ["api", "get", { url: mecha.endpoint }, "TARGET_REFUSED"],
    ["api", "get", { url: "http://169.254.169.254/latest/meta-data" }, "TARGET_REFUSED"],
    ["api", "get", { url: "file:///etc/passwd" }, "BAD_REQUEST"],
    ["nobody", "get", {}, "COMPONENT_NOT_FOUND"],
    ["default", "get", {}, "BLOCK_NOT_SERVED"],
    ["", "get", {}, "COMPONENT_NOT_FOUND"],
  ];
  for (const [binding, operation, metadata, reason] of bad) {
    expect([binding, operation, metadata, await reasonOf(binding, operation, metadata)]).toEqual([
      binding,
      operation,
      metadata,
      reason,
    ]);
  }
  expect(await reasonOf("files", "write", { path: "a" }, new Uint8Array(4 * 1024 * 1024 + 1))).toBe("TOO_LARGE");
  expect(existsSync(join(outside, "new"))).toBe(false);
  await bindings.invoke("files", "write", "still here", { metadata: { path: "a.txt" } });
  expect((await bindings.invoke("files", "read", undefined, { metadata: { path: "a.txt" } })).data).toBe("still here");
});

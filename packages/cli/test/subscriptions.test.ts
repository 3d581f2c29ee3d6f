// Runtime and app in processes of their own, each killed while events are on their way between them.
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";
import { mecha, type Running, serve, start, temporaryFolder, until } from "./cli.js";

/** An app that says what it got and takes a moment over it; it listens again on the same port when it is started anew. */
const program = `
  import { createServer } from "node:http";
  createServer((request, response) => {
    const { "ce-id": id, "mecha-attempt": attempt } = request.headers;
    process.stdout.write(id + " " + attempt + "\\n");
    request.resume().once("end", () => setTimeout(() => response.writeHead(204).end(), 5));
  }).listen(Number(process.argv[1]), "127.0.0.1");`;

/** What one app process after another got. */
class App {
  readonly received: { id: string; attempt: number }[] = [];
  #kill = async () => {};

  constructor(readonly port: number) {}

  start(): void {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program, String(this.port)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [id = "", attempt] = line.split(" ");
      this.received.push({ id, attempt: Number(attempt) });
    });
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    this.#kill = async () => {
      child.kill("SIGKILL");
      await ended;
    };
  }

  kill(): Promise<void> {
    return this.#kill();
  }

  get ids(): Set<string> {
    return new Set(this.received.map(({ id }) => id));
  }
}

async function setUp() {
  const folder = await temporaryFolder();
  const app = new App(await freePort());
  await writeFile(
    join(folder.path, "mecha.yaml"),
    `apiVersion: mecha.dev/v1
kind: Subscription
metadata: { name: orders }
spec:
  topic: orders
  path: /orders
  concurrency: 4
  # A runtime that is killed leaves its leases to end by themselves.
  ackTimeout: 1s
  retry: { maxAttempts: 100, minBackoff: 10ms, maxBackoff: 10ms }
`,
  );
  const startRuntime = () => serve(["--app-port", String(app.port)], { cwd: folder.path });
  const publish = async ({ endpoint }: { endpoint: string }, from: number, to: number) => {
    const events = Array.from({ length: to - from }, (_, index) => ({
      specversion: "1.0",
      id: String(from + index),
      source: "/test",
      type: "order",
    }));
    const response = await fetch(`${endpoint}/publish/orders`, {
      method: "POST",
      headers: { "content-type": "application/cloudevents-batch+json" },
      body: JSON.stringify(events),
    });
    expect(response.status).toBe(200);
  };
  return {
    app,
    startRuntime,
    publish,
    async [Symbol.asyncDispose]() {
      await app.kill();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const everyOf = (count: number) => new Set(Array.from({ length: count }, (_, index) => String(index)));

describe("a subscription", () => {
  it("loses nothing when the app is killed again and again", async () => {
    await using set = await setUp();
    const { app, publish } = set;
    await using runtime = await set.startRuntime();
    for (let round = 0; round < 3; round++) {
      app.start();
      await publish(runtime, round * 100, (round + 1) * 100);
      await until(() => app.ids.size > round * 100 + 20);
      await app.kill();
    }
    app.start();
    await until(() => app.ids.size === 300);
    expect(app.ids).toEqual(everyOf(300));
    // What the app had when it was killed is another attempt: four at a time at the most. All else came once.
    const repeated = app.received.filter(({ attempt }) => attempt > 1);
    expect(repeated.length).toBeLessThanOrEqual(3 * 4);
  });

  it("loses nothing when the runtime is killed again and again", async () => {
    await using set = await setUp();
    const { app, publish } = set;
    app.start();
    let runtime: (Running & { endpoint: string }) | undefined;
    try {
      for (let round = 0; round < 3; round++) {
        runtime = await set.startRuntime();
        await publish(runtime, round * 100, (round + 1) * 100);
        const before = app.ids.size;
        await until(() => app.ids.size > before + 10);
        runtime.child.kill("SIGKILL");
        await runtime.ended;
      }
      runtime = await set.startRuntime();
      await until(() => app.ids.size === 300, 30_000);
      expect(app.ids).toEqual(everyOf(300));
    } finally {
      await runtime?.[Symbol.asyncDispose]();
    }
  });
});

describe("docs/subscriptions.md", () => {
  /** What stands in its fences of a language. */
  const fences = async (language: string) => {
    const page = await readFile(join(import.meta.dirname, "../../../docs/subscriptions.md"), "utf8");
    return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, text = ""]) => text);
  };

  it("shows resources that nothing is wrong with", async () => {
    await using folder = await temporaryFolder();
    const resources = await fences("yaml");
    expect(resources).toHaveLength(3);
    await writeFile(join(folder.path, "mecha.yaml"), resources.join("---\n"));
    expect(await mecha(["check"], { cwd: folder.path })).toMatchObject({ code: 0, stderr: "" });
  });

  it("shows an app that works", async () => {
    await using folder = await temporaryFolder();
    const [resource = ""] = await fences("yaml");
    const [program = ""] = await fences("js");
    const port = await freePort();
    await writeFile(join(folder.path, "mecha.yaml"), resource);
    const publish = `
      const headers = { authorization: "Bearer " + process.env.MECHA_API_TOKEN, "content-type": "application/json" };
      await fetch(process.env.MECHA_ENDPOINT + "/publish/orders", { method: "POST", headers, body: '{"total": 42}' });`;
    await writeFile(join(folder.path, "app.mjs"), program.replace("8080", String(port)) + publish);
    const args = ["run", "--app-id", "shop", "--port", "0", "--app-port", String(port), "--"];
    await using running = start([...args, process.execPath, "app.mjs"], { cwd: folder.path });
    await running.output(/^orders \S+ 42$/m);
  });
});

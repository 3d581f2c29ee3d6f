import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mecha, type Running, serve, start, temporaryFolder, until } from "./cli.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let runtime: Running & { endpoint: string };

beforeAll(async () => {
  folder = await temporaryFolder();
  runtime = await serve([], { cwd: folder.path });
});
afterAll(async () => {
  await runtime[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const options = () => ({ cwd: folder.path, env: { MECHA_ENDPOINT: runtime.endpoint } });
const run = (args: string[], input = "") => mecha(args, { ...options(), input });

const lines = <T>(text: string) =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);

interface CloudEvent {
  id: string;
  type: string;
  data?: unknown;
  data_base64?: string;
}

/** All events that a topic ever had. */
const replay = async (topic: string, count: number) =>
  lines<CloudEvent>((await run(["subscribe", topic, "--from", "earliest", "-n", String(count)])).stdout);

describe("mecha publish", () => {
  it("publishes an event with its attributes, and prints its id", async () => {
    const attributes = ["--type", "order.placed", "--source", "/shop", "--subject", "order-1", "--id", "e-1"];
    const published = await run([
      "publish",
      "attributes",
      '{"total":42}',
      ...attributes,
      "--key",
      "k",
      "-x",
      "region=eu",
    ]);
    expect(published).toMatchObject({ code: 0, stdout: "e-1\n", stderr: "" });
    expect(await replay("attributes", 1)).toMatchObject([
      {
        specversion: "1.0",
        id: "e-1",
        type: "order.placed",
        source: "/shop",
        subject: "order-1",
        partitionkey: "k",
        region: "eu",
        datacontenttype: "application/json",
        data: { total: 42 },
      },
    ]);
  });

  it("takes data from an argument, a file and standard input, byte for byte", async () => {
    const bytes = randomBytes(1_000);
    await writeFile(join(folder.path, "photo.jpg"), bytes);
    await run(["publish", "data", "@photo.jpg"]);
    await run(["publish", "data", "-"], "from a pipe");
    await run(["publish", "data"]);
    const events = await replay("data", 3);
    expect(Buffer.from(events[0]?.data_base64 ?? "", "base64").equals(bytes)).toBe(true);
    expect(events[1]).toMatchObject({ data: "from a pipe", datacontenttype: "text/plain; charset=utf-8" });
    expect(events[2]).not.toHaveProperty("data");
  });

  it("publishes an event for each line of a file", async () => {
    const all = Array.from({ length: 250 }, (_, n) => ({ n }));
    const published = await run(
      ["publish", "many", "--many", "-"],
      `${all.map((one) => JSON.stringify(one)).join("\n")}\n\n`,
    );
    expect(published).toMatchObject({ code: 0, stdout: "published 250 events\n", stderr: "" });
    expect((await replay("many", 250)).map(({ data }) => data)).toEqual(all);
  });

  it("tells which line it could not publish", async () => {
    expect(await run(["publish", "many", "--many", "-"], "1\n{\n")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^mecha: line 2 is no JSON: .*\n$/),
    });
    await writeFile(join(folder.path, "huge.ndjson"), `1\n"${"x".repeat(1024 * 1024)}"\n2\n`);
    const huge = await run(["publish", "huge", "--many", "huge.ndjson", "--json"]);
    expect(huge.code).toBe(1);
    expect(huge.stderr).toMatch(/^mecha: line 2 was not published: .*; 1 events were published\n$/);
    expect(lines(huge.stdout)).toMatchObject([{ duplicate: false }, { error: { reason: "TOO_LARGE" } }]);
  });

  it("delays, and publishes a request once", async () => {
    const request = ["publish", "once", "1", "--request-id", "r-1"];
    const [first, second] = [await run(request), await run([...request, "--json"])];
    expect(JSON.parse(second.stdout)).toEqual({ eventId: first.stdout.trim(), duplicate: true });
    expect((await run(["publish", "once", "2", "--delay", "1h", "--ttl", "2h"])).code).toBe(0);
  });
});

describe("mecha subscribe", () => {
  it("prints what is published as CloudEvents, one a line, and takes nothing from the app", async () => {
    await using tail = start(["subscribe", "tail"], options());
    // It says nothing before the first event: events are published until one arrives.
    const first = until(() =>
      tail.output(/^\{.*\}$/m).then(
        ([text]) => JSON.parse(text) as CloudEvent,
        () => undefined,
      ),
    );
    let isThere = false;
    void first.then(() => (isThere = true));
    // The app's own group, which is made by its first pull.
    const pull = async () => {
      const response = await fetch(`${runtime.endpoint}/mecha.pubsub.v1.PubSubService/Pull`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ open: { topic: "tail" } }),
      });
      return ((await response.json()) as { deliveries?: unknown[] }).deliveries?.length ?? 0;
    };
    await pull();
    let published = 0;
    while (!isThere) {
      await fetch(`${runtime.endpoint}/publish/tail`, { method: "POST", body: String(published++) });
      await delay(20);
    }
    expect(await first).toMatchObject({ specversion: "1.0", type: "tail" });
    expect(await pull()).toBe(published);
  });

  it("filters, and ends after the events that it was asked for", async () => {
    await run(["publish", "filtered", "--many", "-"], [1, 2, 3, 4].map((total) => `{"total":${total}}`).join("\n"));
    const ended = await run(["subscribe", "filtered", "--from", "earliest", "--filter", "data.total > 1", "-n", "2"]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(lines<CloudEvent>(ended.stdout).map(({ data }) => data)).toEqual([{ total: 2 }, { total: 3 }]);
    const once = await run(["subscribe", "filtered", "--from", "earliest", "--once", "--json"]);
    expect(lines(once.stdout)).toHaveLength(1);
  });

  it("with a group takes what it prints, and no more; with --no-ack it only looks", async () => {
    const group = ["--group", "workers", "--from", "earliest"];
    await run(["publish", "shared", "--many", "-"], "1\n2\n3\n");
    const numbers = async (...args: string[]) =>
      lines<CloudEvent>((await run(["subscribe", "shared", ...group, ...args])).stdout).map(({ data }) => data);
    expect(await numbers("--no-ack", "-n", "3")).toEqual([1, 2, 3]);
    expect(await numbers("-n", "2")).toEqual([1, 2]);
    expect(await numbers("-n", "1")).toEqual([3]);
  });

  it("refuses a filter that is none, and settings that are not the group's", async () => {
    const filter = await run(["subscribe", "wrong", "--filter", "data.total >"]);
    expect(filter).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^mecha: filter is no CEL expression: 1:\d+/),
    });
    await run(["publish", "mismatch", "1"]);
    await run(["subscribe", "mismatch", "--group", "g", "--from", "earliest", "--once"]);
    const mismatch = await run(["subscribe", "mismatch", "--group", "g", "--filter", "true"]);
    expect(mismatch).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^mecha: group "shop\/g" has other settings/),
    });
  });
});

describe("mecha deadletters", () => {
  /** An event that the app rejects, by a subscription of the app's. */
  async function rejected(topic: string): Promise<Running & { endpoint: string }> {
    const port = await freePort();
    await writeFile(
      join(folder.path, `${topic}.yaml`),
      `apiVersion: mecha.dev/v1
kind: Subscription
metadata: { name: ${topic} }
spec: { topic: ${topic}, path: /events }
`,
    );
    const args = ["--resources", `${topic}.yaml`, "--app-port", String(port), "--data-dir", topic];
    const own = await serve(args, { cwd: folder.path });
    const app = createServer((_, response) => response.writeHead(410).end("sold out")).listen(port, "127.0.0.1");
    try {
      await fetch(`${own.endpoint}/publish/${topic}`, {
        method: "POST",
        body: "a teapot",
        headers: { "content-type": "text/plain" },
      });
      await until(
        async () =>
          (await mecha(["deadletters", "list", topic, "-e", own.endpoint], { cwd: folder.path })).stdout !== "",
      );
    } finally {
      app.close();
      app.closeAllConnections();
    }
    return own;
  }

  it("lists, requeues and drops", async () => {
    await using own = await rejected("refused");
    const dead = (...args: string[]) => mecha(["deadletters", ...args, "-e", own.endpoint], { cwd: folder.path });
    const listed = await dead("list", "refused");
    expect(listed.stdout).toMatch(
      /^\d+ {2}\S+Z {2}refused {2}1 attempt, event \S+\n {2}\/events: HTTP 410: sold out\n {2}a teapot\n$/,
    );
    const [letter] = lines<{ deadLetterId: string }>((await dead("list", "refused", "--json")).stdout);
    expect(letter).toMatchObject({
      attempts: 1,
      lastError: "/events: HTTP 410: sold out",
      event: { data: "a teapot" },
    });
    expect(await dead("requeue", "refused", "--id", "no-such")).toMatchObject({ code: 0, stdout: "requeued 0\n" });
    expect(await dead("requeue", "refused", "--id", letter?.deadLetterId ?? "")).toMatchObject({
      stdout: "requeued 1\n",
    });
    expect((await dead("list", "refused")).stdout).toBe("");
    expect(await dead("drop", "refused", "--all", "--json")).toMatchObject({ stdout: '{"count":0}\n' });

    const info = await mecha(["info", "-e", own.endpoint], { cwd: folder.path });
    expect(info.stdout).toMatch(
      /^refused +refused \(group shop\) +\/events +0 acked, 0 retried, 1 rejected +waiting for the app/m,
    );
  });
});

describe("mecha run with a subscription", () => {
  it("posts to the app what carries the token that it was given", async () => {
    await using own = await temporaryFolder();
    const port = await freePort();
    await writeFile(
      join(own.path, "mecha.yaml"),
      "apiVersion: mecha.dev/v1\nkind: Subscription\nmetadata: { name: orders }\nspec: { topic: orders, path: /orders }\n",
    );
    const app = `
      import { createServer } from "node:http";
      import { text } from "node:stream/consumers";
      createServer(async (request, response) => {
        const proven = request.headers.authorization === "Bearer " + process.env.MECHA_APP_TOKEN;
        console.log(request.url, proven, await text(request));
        response.writeHead(204).end(() => process.exit(0));
      }).listen(${port}, "127.0.0.1");
      const headers = { authorization: "Bearer " + process.env.MECHA_API_TOKEN };
      await fetch(process.env.MECHA_ENDPOINT + "/publish/orders", { method: "POST", headers, body: "hello" });`;
    const args = ["run", "--app-id", "shop", "--port", "0", "--app-port", String(port), "--"];
    const ended = await mecha([...args, process.execPath, "--input-type=module", "--eval", app], { cwd: own.path });
    expect(ended).toMatchObject({ code: 0, stdout: "/orders true hello\n" });
    const checked = await mecha(["check"], { cwd: own.path });
    expect(checked.stdout).toMatch(
      /^orders +group "app" of topic "orders" \(component "default"\) +\/orders +mecha.yaml:1$/m,
    );
  });
});

describe("a wrong command line", () => {
  it.each([
    [["state", "set", "a", "1", "--ttl", "soon"], /--ttl.*'soon' is invalid.*"30s"/],
    [["state", "get", "a", "--endpoint", "localhost"], /--endpoint.*'localhost' is invalid.*http:\/\/host:port/],
    [["publish", "a", "1", "--delay", "later"], /--delay.*'later' is invalid/],
    [["publish", "a", "1", "--key", "k", "--delay", "1s"], /--delay.*cannot be used with option '--key/],
    [["publish", "a", "1", "--many", "-"], /there is data and --many/],
    [["publish", "a", "1", "-x", "region"], /name=value/],
    [["subscribe", "a", "--from", "yesterday"], /--from.*"earliest" or a time/],
    [["subscribe", "a", "-n", "0"], /1 or more/],
    [["subscribe", "a", "--no-ack"], /--no-ack is for a --group/],
    [["deadletters", "requeue", "a"], /which dead letters\? Say --id <id>.*or --all/],
    [["deadletters", "drop", "a", "--all", "--id", "1"], /--id.*cannot be used with option '--all/],
  ])("exits with 2: %j", async (args, message) => {
    const ended = await run(args);
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toMatch(message);
  });

  it("that lacks the token says how to give it", async () => {
    await using own = await temporaryFolder();
    await using guarded = await serve(["--data-dir", "guarded"], { cwd: own.path, env: { MECHA_API_TOKEN: "secret" } });
    const withToken = (token: Record<string, string>) =>
      mecha(["state", "get", "a", "-e", guarded.endpoint], { cwd: own.path, env: token });
    expect(await withToken({})).toMatchObject({
      code: 1,
      stderr:
        "mecha: this runtime asks for a token: say --token-file <path>, or set MECHA_API_TOKEN (mecha run gives it to the app)\n",
    });
    expect((await withToken({ MECHA_API_TOKEN: "wrong" })).stderr).toMatch(
      /^mecha: the token is not this runtime's: say --token-file/,
    );
    expect((await withToken({ MECHA_API_TOKEN: "secret" })).code).toBe(3);
  });
});

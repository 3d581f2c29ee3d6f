import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mecha, type Running, serve, start, temporaryFolder } from "./cli.js";

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

const state = (args: string[], input = "") =>
  mecha(["state", ...args], { cwd: folder.path, env: { MECHA_ENDPOINT: runtime.endpoint }, input });

describe("mecha state", () => {
  it("sets and gets a value, and tells its etag and media type", async () => {
    const set = await state(["set", "order", '{"total": 42}']);
    expect(set).toMatchObject({ code: 0, stderr: "" });
    expect(await state(["get", "order"])).toMatchObject({ code: 0, stdout: '{"total": 42}' });
    const json = await state(["get", "order", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      key: "order",
      value: { total: 42 },
      contentType: "application/json",
      etag: set.stdout.trim(),
    });
  });

  it("keeps every byte of a file, there and back", async () => {
    const bytes = randomBytes(100_000);
    await writeFile(join(folder.path, "photo.jpg"), bytes);
    await state(["set", "photo", "--file", "photo.jpg", "--content-type", "image/jpeg"]);
    const json = JSON.parse((await state(["get", "photo", "--json"])).stdout) as {
      contentType: string;
      valueBase64: string;
    };
    expect(json.contentType).toBe("image/jpeg");
    expect(Buffer.from(json.valueBase64, "base64").equals(bytes)).toBe(true);
  });

  it("takes a value from standard input, even an empty one", async () => {
    await state(["set", "piped"], "from a pipe");
    expect((await state(["get", "piped"])).stdout).toBe("from a pipe");
    await state(["set", "piped", "--file", "-"], "");
    expect(await state(["get", "piped"])).toMatchObject({ code: 0, stdout: "" });
  });

  it("exits with 3 when there is no such key", async () => {
    expect(await state(["get", "nothing"])).toMatchObject({ code: 3, stdout: "", stderr: 'there is no "nothing"\n' });
  });

  it("exits with 4 when a condition does not hold, and writes nothing", async () => {
    const first = (await state(["set", "guarded", "1"])).stdout.trim();
    expect((await state(["set", "guarded", "2", "--if-match", first])).code).toBe(0);
    for (const condition of [["--if-match", first], ["--if-absent"]]) {
      const refused = await state(["set", "guarded", "3", ...condition]);
      expect(refused.code).toBe(4);
      expect(refused.stderr).toMatch(/^mecha: /);
    }
    expect((await state(["set", "unguarded", "3", "--if-exists"])).code).toBe(4);
    expect((await state(["delete", "guarded", "--if-match", first])).code).toBe(4);
    expect((await state(["get", "guarded"])).stdout).toBe("2");
  });

  it("writes once when the same request is sent again", async () => {
    const once = ["set", "repeated", "1", "--request-id", "r-1"];
    const [first, second] = [await state(once), await state(once)];
    expect(second.stdout).toBe(first.stdout);
  });

  it("deletes, and says whether there was something", async () => {
    await state(["set", "old", "1"]);
    expect(await state(["delete", "old"])).toMatchObject({ code: 0, stdout: 'deleted "old"\n' });
    expect(await state(["delete", "old"])).toMatchObject({ code: 0, stdout: 'there was no "old"\n' });
    expect(JSON.parse((await state(["delete", "old", "--json"])).stdout)).toEqual({ key: "old", existed: false });
  });

  it("lists in order, across pages, up to a limit", async () => {
    const keys = Array.from({ length: 120 }, (_, index) => `list-${String(index).padStart(3, "0")}`);
    await Promise.all(keys.map((key) => fetch(`${runtime.endpoint}/state/${key}`, { method: "PUT", body: key })));
    const lines = async (...args: string[]) => (await state(["list", "list-", ...args])).stdout.trim().split("\n");
    expect(await lines("--keys-only")).toEqual(keys);
    expect(await lines("--keys-only", "--limit", "3")).toEqual(keys.slice(0, 3));
    const documents = (await lines("--json", "--limit", "101")).map((line) => JSON.parse(line) as { key: string });
    expect(documents.map(({ key }) => key)).toEqual(keys.slice(0, 101));
    expect(await state(["list", "nothing-begins-so"])).toMatchObject({ code: 0, stdout: "" });
  });

  it("watches what is there and what changes, and goes on from a token", async () => {
    await state(["set", "watched-1", "1"]);
    const options = { cwd: folder.path, env: { MECHA_ENDPOINT: runtime.endpoint } };
    await using watch = start(["state", "watch", "--prefix", "watched-"], options);
    await watch.output(/^item {5}watched-1 {2}1\nsynced/m);
    await state(["set", "watched-2", "2"]);
    await watch.output(/^item {5}watched-2 {2}2$/m);
    // Once it has been seen: an item that lives shorter than a watch takes to look is never told.
    await state(["set", "watched-2", "2", "--ttl", "100ms"]);
    await watch.output(/^expired {2}watched-2$/m);

    const synced = await state(["watch", "watched-1", "--json", "--until-synced"]);
    const changes = synced.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, string>);
    expect(changes.map(({ type }) => type)).toEqual(["item", "synced"]);
    await state(["delete", "watched-1"]);
    const token = changes.at(-1)?.resumeToken ?? "";
    const resumed = await state(["watch", "watched-1", "--json", "--until-synced", "--resume-token", token]);
    expect(resumed.stdout).toContain('{"type":"deleted","key":"watched-1","expired":false');
  });

  it("stops in silence when nobody reads on", async () => {
    const { execFile } = await import("node:child_process");
    const { promisify } = await import("node:util");
    await state(["set", "list-last"], "x".repeat(1_000_000));
    const command = `"$0" "$1" state list list- --json | head -n 1`;
    const { stdout, stderr } = await promisify(execFile)(
      "sh",
      ["-c", command, process.execPath, join(import.meta.dirname, "../dist/mecha.js")],
      { env: { ...process.env, MECHA_ENDPOINT: runtime.endpoint } },
    );
    expect(JSON.parse(stdout)).toHaveProperty("key");
    expect(stderr).toBe("");
  });

  it.each(["--help", "schema"])(
    "says nothing of a reader of %s who is gone before the first byte",
    async (argument) => {
      const { execFile } = await import("node:child_process");
      const { promisify } = await import("node:util");
      const mecha = join(import.meta.dirname, "../dist/mecha.js");
      const words = ["-c", '"$0" "$1" "$2" | true', process.execPath, mecha, argument];
      expect((await promisify(execFile)("sh", words)).stderr).toBe("");
    },
  );

  it("tells in one line what is wrong", async () => {
    const long = await state(["get", "k".repeat(513)]);
    expect(long.code).toBe(1);
    expect(long.stderr).toMatch(/^mecha: .*512.*\n$/);
    expect((await state(["get", "a", "--store", "nowhere"])).stderr).toMatch(/^mecha: .*nowhere/);
    const away = await mecha(["state", "get", "a", "-e", "http://127.0.0.1:1"], { cwd: folder.path });
    expect(away.code).toBe(1);
    expect(away.stderr).toMatch(/^mecha: the runtime cannot be reached: .*is it running\?\n$/);
  });
});

describe("mecha info", () => {
  it("shows what the runtime serves", async () => {
    const ended = await mecha(["info"], { cwd: folder.path, env: { MECHA_ENDPOINT: runtime.endpoint } });
    expect(ended.code).toBe(0);
    const { version } = JSON.parse(await readFile(join(import.meta.dirname, "../package.json"), "utf8")) as {
      version: string;
    };
    expect(ended.stdout).toContain(`mecha ${version} at ${runtime.endpoint}`);
    expect(ended.stdout).toContain("app shop, namespace default");
    expect(ended.stdout).toMatch(/^default \(embedded\) +sqlite +state \(default\) +\S*TRANSACT.* +HOST +healthy$/m);
  });

  it("prints JSON for scripts", async () => {
    const ended = await mecha(["info", "--json"], { cwd: folder.path, env: { MECHA_ENDPOINT: runtime.endpoint } });
    const info = JSON.parse(ended.stdout) as { appId: string; components: { name: string }[] };
    expect(info.appId).toBe("shop");
    expect(info.components.map(({ name }) => name)).toContain("default");
  });
});

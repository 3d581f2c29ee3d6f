import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ComponentError } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { freePort, missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { resolveConnectOptions } from "../src/config.js";
import { redis } from "../src/index.js";
import { type MigrationStep, openLayout } from "../src/layout.js";
import { Redis } from "../src/redis.js";
import { command, deleteOf, eventually, reasonOf, setOf, stateOf, write } from "./kit.js";

const keyspace = "test/start";
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/** Why a component does not start. */
async function refusalOf(config: object): Promise<string> {
  try {
    await (await startComponent(redis, config)).close();
  } catch (error) {
    if (error instanceof ComponentError) return error.message;
    throw error;
  }
  throw new Error("it started");
}

describe("configuration", () => {
  test.each([
    ["nonsense", "must be a URL"],
    ["http://host", "use redis://"],
    ["redis://host/first", "database that is not a number"],
    ["unix://", "needs the path"],
  ])("%s is refused with words", (url, words) => {
    expect(() => redis.config.parse({ url })).toThrow(words);
  });

  test("what the URL says is used, unless a setting says otherwise", () => {
    const parse = (config: object) => resolveConnectOptions(redis.config.parse(config));
    expect(parse({ url: "rediss://us%40er:p%3Aw@[::1]:7000/3" })).toMatchObject({
      seeds: [{ host: "::1", port: 7000, tls: true, address: "[::1]:7000" }],
      username: "us@er",
      password: "p:w",
      database: 3,
    });
    expect(parse({ url: "redis://a:b@host", username: "c", password: "d" })).toMatchObject({
      seeds: [{ host: "host", port: 6379, tls: false }],
      username: "c",
      password: "d",
      database: 0,
    });
    expect(parse({ url: "unix:///run/redis.sock?db=2" })).toMatchObject({
      seeds: [{ path: "/run/redis.sock" }],
      database: 2,
    });
  });
});

describe.skipIf(missing("redis"))("start", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("without a server it says where it looked", async () => {
    const port = await freePort();
    expect(await refusalOf({ url: `redis://127.0.0.1:${port}` })).toBe(
      `connection refused at 127.0.0.1:${port}; is Redis running?`,
    );
    expect(await refusalOf({ url: "unix:///nowhere/redis.sock" })).toContain("no socket at unix:/nowhere/redis.sock");
    expect(await refusalOf({ url: "redis://no-such-host.invalid" })).toContain("is not known");
  });

  test("a server that evicts, a replica and a wrong password are refused, with what to do", async () => {
    await using evicting = await startRedis({ settings: { "maxmemory-policy": "allkeys-lru" } });
    expect(await refusalOf({ url: evicting.url })).toContain("set maxmemory-policy to noeviction");
    await using replica = await startRedis({ settings: { replicaof: `127.0.0.1 ${server.port}` } });
    expect(await refusalOf({ url: replica.url })).toContain("is a replica; give the address of its primary");
    await using locked = await startRedis();
    await command(locked.url, ["CONFIG", "SET", "requirepass", "secret"]);
    expect(await refusalOf({ url: locked.url })).toMatch(/NOAUTH|[Aa]uthentication/);
    expect(await refusalOf({ url: locked.url, password: "wrong" })).toContain("WRONGPASS");
    const component = await startComponent(redis, { url: locked.url, password: "secret" });
    await component.health(AbortSignal.timeout(1000));
    await component.close();
  });

  test("a server that has begun to evict is not used again after its connection was cut", async () => {
    await using turned = await startRedis();
    const component = await startComponent(redis, { url: turned.url });
    await command(
      turned.url,
      ["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"],
      ["CLIENT", "KILL", "TYPE", "normal"],
    );
    await eventually("writes are refused", async () => {
      return (await reasonOf(write(stateOf(component), keyspace, setOf("key")))) === "COMPONENT_UNAVAILABLE";
    });
    await expect(component.health(AbortSignal.timeout(1000))).rejects.toThrow("maxmemory-policy volatile-ttl");
    await component.close();
  });

  test.each([
    ["always", {}, "HOST"],
    ["always", { "no-appendfsync-on-rewrite": "yes" }, "PROCESS"],
    ["everysec", {}, "PROCESS"],
    ["no", {}, "PROCESS"],
    ["off", {}, "PROCESS"],
  ] as const)("AOF %s with %o declares %s", async (appendfsync, settings, durability) => {
    await using configured = await startRedis({ appendfsync, settings });
    const component = await startComponent(redis, { url: configured.url });
    expect(stateOf(component).durability).toBe(durability);
    await component.close();
  });

  test("where CONFIG is hidden, nothing is promised that cannot be proved", async () => {
    await command(server.url, ["ACL", "SETUSER", "hosted", "on", ">secret", "~*", "&*", "+@all", "-config"]);
    const component = await startComponent(redis, { url: server.url, username: "hosted", password: "secret" });
    expect(stateOf(component).durability).toBe("PROCESS");
    await component.close();
  });

  test("the rights that the README names are enough", async () => {
    const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
    const [, patterns = "", rights = ""] = /needs\s+`([^`]+)`\s+and\s+`([^`]+)`/.exec(readme) ?? [];
    const rules = `${patterns} ${rights}`.replaceAll("<keyPrefix>", "acl").split(/\s+/);
    expect(rules.length).toBeGreaterThan(5);
    await command(server.url, ["ACL", "SETUSER", "app", "reset", "on", ">secret", ...rules]);
    const component = await startComponent(redis, {
      url: server.url,
      username: "app",
      password: "secret",
      keyPrefix: "acl",
    });
    const state = stateOf(component);
    await write(state, keyspace, setOf("a", "", 50), setOf("b"), setOf("c"));
    await write(state, keyspace, deleteOf("b"));
    expect(await state.getMany({ keyspace, keys: ["b", "c"], maxBytes: 100 })).toHaveLength(1);
    const { signal } = new AbortController();
    const kinds: string[] = [];
    for await (const batch of state.watch({ keyspace, target: { prefix: "" }, resumeToken: undefined, signal })) {
      kinds.push(...batch.map(({ type }) => type));
      if (kinds.includes("deleted")) break; // "a" has expired.
    }
    const [log] = await command(server.url, ["ACL", "LOG"]);
    const refused = (log as { username: string; object: string }[]).filter(({ username }) => username === "app");
    expect(new Set(refused.map(({ object }) => object))).toEqual(new Set(["config|get"]));
    await component.close();
  });

  test("a user without rights gets words", async () => {
    await (await startComponent(redis, { url: server.url })).close(); // Leaves the layout behind.
    await command(server.url, ["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+@connection", "+info"]);
    const config = { url: server.url, username: "reader", password: "secret" };
    const component = await startComponent(redis, config);
    await expect(write(stateOf(component), keyspace, setOf("key"))).rejects.toThrow("look at its ACL");
    await component.close();
  });

  test("a Unix socket, a database and a prefix of its own", async () => {
    await using local = await startRedis({ settings: { unixsocket: "redis.sock" } });
    const config = { url: `unix://${join(local.folder, "redis.sock")}?db=3`, keyPrefix: "shop" };
    const component = await startComponent(redis, config);
    await write(stateOf(component), keyspace, setOf("key"));
    await component.close();
    const [, keys] = await command(local.url, ["SELECT", "3"], ["KEYS", "*"]);
    expect(keys).toContain("{shop:test/start}:item:key");
  });

  test("TLS, with an authority of one's own", async () => {
    const folder = server.folder;
    const made = spawnSync(
      "openssl",
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem".split(
        " ",
      ),
      { cwd: folder },
    );
    expect(made.status, String(made.stderr)).toBe(0);
    const port = await freePort();
    await using _secured = await startRedis({
      settings: {
        "tls-port": String(port),
        "tls-cert-file": join(folder, "cert.pem"),
        "tls-key-file": join(folder, "key.pem"),
        "tls-auth-clients": "no",
      },
    });
    const url = `rediss://localhost:${port}`;
    expect(await refusalOf({ url })).toContain("self-signed certificate");
    const component = await startComponent(redis, { url, tls: { ca: readFileSync(join(folder, "cert.pem"), "utf8") } });
    await component.health(AbortSignal.timeout(1000));
    await component.close();
  });

  test("full memory refuses writes as a whole, and still takes deletions", async () => {
    await using small = await startRedis({ appendfsync: "off", settings: { maxmemory: "6mb" } });
    const component = await startComponent(redis, { url: small.url });
    const state = stateOf(component);
    const value = Buffer.alloc(100_000);
    let keys = 0;
    const fill = async () => {
      for (; keys < 1000; keys++) await write(state, keyspace, setOf(`key-${keys}`, value));
    };
    expect(await reasonOf(fill())).toBe("STORAGE_FULL");
    expect(await reasonOf(write(state, keyspace, setOf("one", value), setOf("two", value)))).toBe("STORAGE_FULL");
    expect(await state.getMany({ keyspace, keys: ["one", "two"], maxBytes: 100 })).toEqual([]);
    for (let index = 0; index < 10; index++) await write(state, keyspace, deleteOf(`key-${index}`));
    await write(state, keyspace, setOf("one", value), setOf("two", value));
    await component.close();
  });

  describe("layout", () => {
    test("a newer one is refused, of all and of a keyspace", async () => {
      const config = { url: server.url, keyPrefix: "newer" };
      const component = await startComponent(redis, config);
      await write(stateOf(component), keyspace, setOf("key"));
      await command(server.url, ["HSET", `{newer:${keyspace}}:meta`, "layout", "2", "run", "2:a-newer-mecha"]);
      const refused = write(stateOf(component), keyspace, setOf("key"));
      await expect(refused).rejects.toThrow("this keyspace has layout 2, of a newer Mecha");
      await component.close();
      await command(server.url, ["SET", "{newer}:layout", "2"]);
      expect(await refusalOf(config)).toContain('what is stored under "newer" has layout 2, of a newer Mecha');
    });

    test("an older one is migrated by one of many that start at once, step by step, and a crash in between is made good", async () => {
      const steps: string[] = [];
      let crashes = 1;
      const step = (name: string): MigrationStep => {
        return async (connected, keyPrefix) => {
          steps.push(name);
          await connected.read(["GET", `{${keyPrefix}}:layout`], { route: `{${keyPrefix}}` }, Number);
          if (name === "2 to 3" && crashes-- > 0) throw new Error("crashed");
        };
      };
      const all = ["0 to 1", "1 to 2", "2 to 3"].map(step);
      const options = resolveConnectOptions(redis.config.parse({ url: server.url }));
      const { signal } = new AbortController();
      const open = async (known: readonly MigrationStep[]) => {
        const connected = await Redis.connect(options, silent);
        try {
          await openLayout(connected, "older", known, signal);
        } finally {
          await connected.close();
        }
      };
      await open(all.slice(0, 1));
      expect(steps).toEqual(["0 to 1"]);
      await expect(open(all)).rejects.toThrow("crashed");
      expect(steps).toEqual(["0 to 1", "1 to 2", "2 to 3"]);
      // The lock of the one that crashed is left behind; without it nobody has to wait until it runs out.
      await command(server.url, ["DEL", "{older}:layout-lock"]);
      await Promise.all(Array.from({ length: 6 }, () => open(all)));
      expect(steps).toEqual(["0 to 1", "1 to 2", "2 to 3", "2 to 3"]);
      expect(await command(server.url, ["GET", "{older}:layout"])).toEqual(["3"]);
    });

    test("who read the version before another advanced it does not run the step again", async () => {
      const steps: string[] = [];
      const step = async (connected: Redis) => void steps.push(connected === late ? "late" : "early");
      const options = resolveConnectOptions(redis.config.parse({ url: server.url }));
      const { signal } = new AbortController();
      const [early, late] = await Promise.all([Redis.connect(options, silent), Redis.connect(options, silent)]);
      const read = late.read.bind(late);
      vi.spyOn(late, "read").mockImplementationOnce(async (...args) => {
        const reply = await read(...args);
        await openLayout(early, "late", [step, step], signal);
        return reply;
      });
      await openLayout(late, "late", [step, step], signal);
      expect(steps).toEqual(["early", "early"]);
      expect(await command(server.url, ["GET", "{late}:layout"])).toEqual(["2"]);
      await Promise.all([early.close(), late.close()]);
    });
  });
});

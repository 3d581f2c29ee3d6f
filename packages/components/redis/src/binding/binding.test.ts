import { ComponentError, checkInvocation } from "@mecha/component";
import { bindingConformance, startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { command, setOf, stateOf, write } from "../../test/kit.ts";
import { startCluster } from "../../test/start-cluster.ts";
import { redis } from "../index.js";

describe.skipIf(missing("redis"))("commands", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync: "off" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = bindingConformance({
    open: () => startComponent(redis, { url: server.url, binding: {} }),
    features: ["OUTPUT"],
    works: { operation: "command", data: '["PING"]' },
  });
  for (const { name, run } of cases) test(name, run);

  /** Calls the component as the runtime does: checked against its description first. */
  async function open(binding: object = {}, url = server.url) {
    const component = await startComponent(redis, { url, binding });
    onTestFinished(() => component.close());
    const served = component.blocks.binding;
    const run = async (args: unknown, metadata: Record<string, string> = {}): Promise<unknown> => {
      if (served?.invoke === undefined) throw new Error("the component has no operations");
      const call = { operation: "command", metadata, data: Buffer.from(JSON.stringify(args)), contentType: "" };
      checkInvocation(served, call, "redis");
      const { signal } = new AbortController();
      const answer = await served.invoke({ ...call, keyspace: "default/shop", signal });
      return JSON.parse(Buffer.from(answer.data).toString());
    };
    return { component, run };
  }

  const reasonOf = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => expect.fail("it did not fail"),
      (error: unknown) => {
        if (!(error instanceof ComponentError)) throw error;
        return error.reason;
      },
    );

  test("answer with their reply as JSON", async () => {
    const { run } = await open();
    expect(await run(["set", "order-1", "paid", "EX", 60])).toBe("OK");
    expect(await run(["GET", "order-1"])).toBe("paid");
    expect(await run(["GET", "no-such-key"])).toBeNull();
    expect(await run(["HSET", "order-2", "status", "é", "total", 7])).toBe(2);
    expect(await run(["HGETALL", "order-2"])).toEqual({ status: "é", total: "7" });
    expect(await run(["HMGET", "order-2", "status", "none"])).toEqual(["é", null]);
    expect(await run(["ZADD", "scores", 1.5, "a", "inf", "b"])).toBe(2);
    expect(await run(["ZSCORE", "scores", "a"])).toBe(1.5);
    expect(await run(["ZSCORE", "scores", "b"])).toBe("Infinity");
    expect(await run(["SADD", "tags", "x"])).toBe(1);
    expect(await run(["SMEMBERS", "tags"])).toEqual(["x"]);
    expect(await run(["SET", "bytes", { base64: "AP8=" }])).toBe("OK");
    expect(await run(["GET", "bytes"], { encoding: "base64" })).toBe("AP8=");
    expect(await reasonOf(run(["GET", "bytes"], { encoding: "hex" }))).toBe("BAD_REQUEST");
  });

  test("that are wrong are refused as Redis says it, and disturb nobody", async () => {
    const { run } = await open();
    await run(["SET", "text", "x"]);
    for (const wrong of [
      ["INCR", "text"],
      ["LPUSH", "text", "a"],
      ["GET"],
      [],
      "GET",
      [7],
      ["GET", null],
      { GET: "x" },
    ]) {
      expect(await reasonOf(run(wrong)), JSON.stringify(wrong)).toBe("BAD_REQUEST");
    }
    expect(await run(["GET", "text"])).toBe("x");
  });

  test.each([
    [["FLUSHALL"]],
    [["flushdb"]],
    [["CONFIG", "GET", "*"]],
    [["SHUTDOWN"]],
    [["SUBSCRIBE", "channel"]],
    [["BLPOP", "list", 0]],
    [["MULTI"]],
    [["EVAL", "return 1", 0]],
    [["KEYS", "*"]],
    [["SORT", "list", "BY", "nosort", "GET", "*"]],
    [["CLIENT", "KILL", "TYPE", "normal"]],
    [["NO-SUCH-COMMAND"]],
  ])("%j is refused unless it is allowed", async (args) => {
    const { run } = await open();
    expect(await reasonOf(run(args))).toBe("TARGET_REFUSED");
  });

  test("do not wait, and do not reach what Mecha stores", async () => {
    const { component, run } = await open();
    expect(await reasonOf(run(["XREAD", "BLOCK", 0, "STREAMS", "s", "$"]))).toBe("BAD_REQUEST");
    await write(stateOf(component), "default/shop", setOf("secret", "of another app"));
    for (const args of [
      ["GET", "{mecha:default/shop}:item:secret"],
      ["COPY", "{mecha:default/shop}:item:secret", "mine"],
      ["DEL", "mine", "{mecha:default/shop}:meta"],
      ["SET", "{mecha}:layout", "9"],
      ["GET", { base64: Buffer.from("{mecha:default/shop}:item:secret").toString("base64") }],
    ]) {
      expect(await reasonOf(run(args)), JSON.stringify(args)).toBe("TARGET_REFUSED");
    }
  });

  test("are those that the configuration allows", async () => {
    const { run } = await open({ commands: ["get", "EVAL"] });
    expect(await run(["EVAL", "return {1, 'two'}", 0])).toEqual([1, "two"]);
    expect(await reasonOf(run(["SET", "a", "b"]))).toBe("TARGET_REFUSED");
    expect(() => redis.config.parse({ binding: { commands: ["GET", "multi"] } })).toThrow("cannot be allowed");
  });

  test("run as the user that they are given, and may do no more", async () => {
    await command(server.url, [
      "ACL",
      "SETUSER",
      "reporter",
      "on",
      ">secret",
      "~report:*",
      "+@read",
      "+info",
      "+@connection",
    ]);
    const { run } = await open({ username: "reporter", password: "secret" });
    expect(await run(["GET", "report:1"])).toBeNull();
    expect(await reasonOf(run(["GET", "order-1"]))).toBe("TARGET_REFUSED");
    expect(await reasonOf(run(["SET", "report:1", "x"]))).toBe("TARGET_REFUSED");
  });

  test("are not there unless they are configured", async () => {
    const component = await startComponent(redis, { url: server.url });
    onTestFinished(() => component.close());
    expect(component.blocks.binding).toMatchObject({ features: [], operations: [] });
  });

  test("that answer with too much are TOO_LARGE", async () => {
    const { run } = await open();
    const many = Array.from({ length: 5 }, () => "x".repeat(1_000_000));
    for (const part of many) await run(["RPUSH", "large", part]);
    expect(await reasonOf(run(["LRANGE", "large", 0, -1]))).toBe("TOO_LARGE");
  });

  test("of a server that is away were not run", async () => {
    await using own = await startRedis({ appendfsync: "off" });
    const { run } = await open({}, own.url);
    await run(["PING"]);
    await own.kill();
    expect(await reasonOf(run(["SET", "a", "b"]))).toBe("COMPONENT_UNAVAILABLE");
  });

  test("find their node in a cluster", { timeout: 60_000 }, async () => {
    await using cluster = await startCluster();
    const { run } = await open({}, cluster.primaries[0]?.url ?? "");
    const keys = Array.from({ length: 30 }, (_, index) => `key-${index}`);
    for (const key of keys) expect(await run(["SET", key, key])).toBe("OK");
    expect(await Promise.all(keys.map((key) => run(["GET", key])))).toEqual(keys);
    expect(await reasonOf(run(["MGET", "key-1", "key-2"]))).toBe("BAD_REQUEST");
  });
});

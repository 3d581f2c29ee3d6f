import { pubsubConformance, startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, test } from "vitest";
import { redis } from "../index.js";

describe.skipIf(missing("redis")).each([
  ["always", "HOST"],
  ["everysec", "PROCESS"],
] as const)("conformance, AOF %s", (appendfsync, durability) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis({ appendfsync });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = pubsubConformance({
    open: () => startComponent(redis, { url: server.url }),
    features: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
    durability,
    shared: true,
    holdsBack: "key",
  });
  for (const { name, run } of cases) test(name, run);
});

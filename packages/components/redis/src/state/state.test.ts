import { startComponent, stateConformance } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, test } from "vitest";
import { forgetDeletions } from "../../test/kit.ts";
import { redis } from "../index.js";

const history = 500;

describe.skipIf(missing("redis"))("conformance", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = stateConformance({
    open: () => startComponent(redis, { url: server.url, history }),
    features: ["TRANSACT", "WATCH", "TTL", "OUTBOX"],
    pubsubFeatures: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
    durability: "HOST",
    shared: true,
    expireResumeTokens: (component, keyspace) => forgetDeletions(component, keyspace, history),
  });
  for (const { name, run } of cases) test(name, run);
});

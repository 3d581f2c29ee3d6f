import { discoveryConformance, startComponent } from "@mecha/component/conformance";
import { missing, startRedis, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, test } from "vitest";
import { redis } from "../index.js";

describe.skipIf(missing("redis"))("conformance", { timeout: 60_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = discoveryConformance({
    features: ["REGISTER", "LIST"],
    open: () => startComponent(redis, { url: server.url }),
  });
  for (const { name, run } of cases) test(name, run);
});

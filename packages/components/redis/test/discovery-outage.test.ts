import { discoveryOutage, startComponent } from "@mecha/component/conformance";
import { missing, startRedis } from "@mecha/test-servers";
import { describe, test } from "vitest";
import { redis } from "../src/index.js";

describe.skipIf(missing("redis")).each([
  ["that keeps its data", "always"],
  ["that loses everything with each restart", "off"],
] as const)("when a Redis goes away %s", { timeout: 120_000 }, (_, appendfsync) => {
  const cases = discoveryOutage({
    startServer: () => startRedis({ appendfsync }),
    open: ({ url }) => startComponent(redis, { url, commandTimeoutMs: 1_000, connectTimeoutMs: 1_000 }),
  });
  for (const { name, run } of cases) test(name, run);
});

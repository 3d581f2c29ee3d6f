import { pubsubConformance, startComponent } from "@mecha/component/conformance";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, test } from "vitest";
import { postgres } from "../index.js";

describe.skipIf(missing("postgres"))("conformance", { timeout: 60_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = pubsubConformance({
    open: () => startComponent(postgres, { url: server.url }),
    features: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
    durability: "HOST",
    shared: true,
    holdsBack: "key",
  });
  for (const { name, run } of cases) test(name, run);
});

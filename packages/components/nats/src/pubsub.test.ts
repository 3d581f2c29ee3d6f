import { pubsubConformance, startComponent } from "@mecha/component/conformance";
import { missing, startNats, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, test } from "vitest";
import { nats } from "./index.js";

describe.skipIf(missing("nats"))("conformance", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startNats();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = pubsubConformance({
    open: () => startComponent(nats, { url: server.url }),
    features: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
    durability: "PROCESS",
    shared: true,
    holdsBack: "partition",
  });
  for (const { name, run } of cases) test(name, run);
});

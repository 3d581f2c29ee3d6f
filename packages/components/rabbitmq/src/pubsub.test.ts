import { pubsubConformance, startComponent } from "@mecha/component/conformance";
import { missing, startRabbitmq, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, test } from "vitest";
import { rabbitmq } from "./index.js";

describe.skipIf(missing("rabbitmq"))("conformance", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRabbitmq();
  }, 120_000);
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = pubsubConformance({
    open: () => startComponent(rabbitmq, { url: server.url }),
    features: [],
    durability: "HOST",
    shared: true,
    holdsBack: "key",
  });
  for (const { name, run } of cases) test(name, run);
});

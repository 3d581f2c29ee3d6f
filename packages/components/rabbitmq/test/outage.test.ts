import { pubsubOutage, startComponent } from "@mecha/component/conformance";
import { missing, startRabbitmq } from "@mecha/test-servers";
import { describe, test } from "vitest";
import { rabbitmq } from "../src/index.js";

describe.skipIf(missing("rabbitmq"))("outages", () => {
  const cases = pubsubOutage({
    startServer: startRabbitmq,
    open: ({ url }) => startComponent(rabbitmq, { url, requestTimeoutMs: 3_000 }),
    features: [],
    // The broker takes some seconds to start.
    rounds: 3,
  });
  for (const { name, run } of cases) test(name, { timeout: 300_000 }, run);
});

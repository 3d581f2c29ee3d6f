import { pubsubOutage, startComponent } from "@mecha/component/conformance";
import { missing, startNats } from "@mecha/test-servers";
import { describe, test } from "vitest";
import { nats } from "../src/index.js";

describe.skipIf(missing("nats"))("outages", () => {
  const cases = pubsubOutage({
    startServer: () => startNats(),
    open: ({ url }) => startComponent(nats, { url, redeliverAfterMs: 2_000, requestTimeoutMs: 2_000 }),
    features: ["ORDERED"],
    rounds: 6,
  });
  for (const { name, run } of cases) test(name, { timeout: 240_000 }, run);
});

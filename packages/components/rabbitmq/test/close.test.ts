import { startComponent } from "@mecha/component/conformance";
import { missing, startRabbitmq } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { rabbitmq } from "../src/index.js";

describe.skipIf(missing("rabbitmq"))("closing", () => {
  test("ends in time when the broker dies meanwhile", { timeout: 120_000 }, async () => {
    await using server = await startRabbitmq();
    const component = await startComponent(rabbitmq, { url: server.url, requestTimeoutMs: 1_000 });
    server.pause();
    const started = performance.now();
    await component.close();
    expect(performance.now() - started).toBeLessThan(10_000);
    server.resume();
  });
});

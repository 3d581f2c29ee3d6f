import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startNats } from "@mecha/test-servers";
import { describe, expect, test } from "vitest";
import { nats } from "../src/index.js";

const secret = "hunter2-secret";

/** A logger that keeps all it is told. */
function remember(lines: string[]): Logger {
  const log = (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { debug: log, info: log, warn: log, error: log };
}

/** What answers on a server's monitoring port, with this report. */
async function monitorThat(reports: object): Promise<{ url: string; close(): void }> {
  const server = createServer((_, response) => response.end(JSON.stringify(reports))).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

describe.skipIf(missing("nats"))("a component that starts", () => {
  test("says what to do when there is no server, or one without JetStream", async () => {
    await expect(startComponent(nats, { url: "nats://127.0.0.1:1" })).rejects.toThrow(
      "connection refused at 127.0.0.1:1; is nats-server running?",
    );
    await using bare = await startNats({ jetstream: false });
    await expect(startComponent(nats, { url: bare.url })).rejects.toThrow("start nats-server with `-js`");
  });

  test("names no password, in errors and logs", async () => {
    await using server = await startNats({ args: ["--user", "mecha", "--pass", secret] });
    const lines: string[] = [];
    const config = { url: server.url, username: "mecha", password: secret };
    const wrong = startComponent(nats, { ...config, password: `${secret}-not` }, { logger: remember(lines) });
    await expect(wrong).rejects.toThrow(/refused the login; check username, password/);
    await expect(wrong).rejects.not.toThrow(secret);
    const component = await startComponent(nats, config, { logger: remember(lines) });
    await server.kill();
    await expect.poll(() => lines.length, { timeout: 10_000 }).toBeGreaterThan(0);
    await component.close();
    expect(lines.join("\n")).not.toContain(secret);
  });

  test("declares a durability that the server was seen to back", async () => {
    await using server = await startNats();
    const durabilityOf = async (config: object) => {
      const component = await startComponent(nats, { url: server.url, ...config });
      await component.close();
      return component.blocks.pubsub?.durability;
    };
    expect(await durabilityOf({})).toBe("PROCESS");
    const always = await monitorThat({ config: { sync_always: true } });
    expect(await durabilityOf({ monitorUrl: always.url })).toBe("HOST");
    always.close();
    // As servers before 2.10 answer, and those that sync now and then.
    const sometimes = await monitorThat({ config: { sync_interval: 120_000_000_000 } });
    expect(await durabilityOf({ monitorUrl: sometimes.url })).toBe("PROCESS");
    sometimes.close();
    await expect(durabilityOf({ monitorUrl: sometimes.url })).rejects.toThrow(/monitoring port .* does not answer/);
    await expect(durabilityOf({ replicas: 3, prefix: "other" })).rejects.toThrow(
      "`replicas` above 1 needs a cluster of servers",
    );
  });
});

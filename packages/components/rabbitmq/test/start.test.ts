import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Logger } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { missing, startRabbitmq, type TestServer } from "@mecha/test-servers";
import { connect } from "amqplib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rabbitmq } from "../src/index.js";
import { call, openGroup, publish, pubsubOf, take } from "./kit.ts";

const secret = "hunter2-secret";

describe.skipIf(missing("rabbitmq"))("a component on a broker", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRabbitmq();
  }, 120_000);
  afterAll(() => server[Symbol.asyncDispose]());

  test("says what to do when there is none, and names no password", async () => {
    const nowhere = startComponent(rabbitmq, { url: `amqp://mecha:${secret}@127.0.0.1:1` });
    await expect(nowhere).rejects.toThrow("connection refused at 127.0.0.1:1; is RabbitMQ running?");
    const lines: string[] = [];
    const log = (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields)}`);
    const logger: Logger = { debug: log, info: log, warn: log, error: log };
    const wrong = startComponent(rabbitmq, { url: server.url, username: "guest", password: secret }, { logger });
    await expect(wrong).rejects.toThrow(/refused the login; check username and password/);
    await expect(wrong).rejects.not.toThrow(secret);
    const lost = startComponent(rabbitmq, { url: server.url, vhost: "nowhere" }, { logger });
    await expect(lost).rejects.toThrow(/no such vhost/);
    expect(lines.join("\n")).not.toContain(secret);
  });

  test("refuses topics that are not declared, where some are", async () => {
    const component = await startComponent(rabbitmq, { url: server.url, topics: ["orders"] });
    const pubsub = pubsubOf(component);
    await publish(pubsub, "x", "orders");
    const unknown = { reason: "BAD_REQUEST", metadata: { topic: "ordres" } };
    await expect(publish(pubsub, "x", "ordres")).rejects.toMatchObject(unknown);
    await expect(openGroup(pubsub, { ...call, topic: "ordres" })).rejects.toMatchObject(unknown);
    await component.close();
  });

  test("publishes to a topic without groups, but fails where a group's queue is gone", {
    timeout: 60_000,
  }, async () => {
    const component = await startComponent(rabbitmq, { url: server.url, prefix: "gone" });
    const pubsub = pubsubOf(component);
    await publish(pubsub, "to nobody");
    await openGroup(pubsub);
    await publish(pubsub, "to somebody");
    const { lease } = await take(pubsub);
    expect(new TextDecoder().decode(lease?.payload)).toBe("to somebody");
    await deleteQueueByHand(server, "gone/test/t/app/g");
    await expect(publish(pubsub, "into the void")).rejects.toMatchObject({
      reason: "COMPONENT_UNAVAILABLE",
      message: expect.stringContaining('topic "t" has groups, but no queue took the event'),
    });
    await pubsub.deleteGroup(call);
    await publish(pubsub, "to nobody again");
    await component.close();
  });

  test("counts the attempt of a process that died", { timeout: 60_000 }, async () => {
    const component = await startComponent(rabbitmq, { url: server.url });
    const pubsub = pubsubOf(component);
    await openGroup(pubsub);
    await publish(pubsub, "held");
    const program = join(import.meta.dirname, "holder.ts");
    const child = spawn(process.execPath, [program, server.url], { stdio: ["ignore", "pipe", "inherit"] });
    const [output] = await once(child.stdout, "data");
    expect(String(output)).toBe("attempt 1\n");
    child.kill("SIGKILL");
    await once(child, "exit");
    const { lease } = await take(pubsub);
    expect(lease?.attempt).toBe(2);
    await component.close();
  });
});

/** Deletes a group's queue of events, as an operator may: its id is in its settings. */
async function deleteQueueByHand({ url }: TestServer, group: string): Promise<void> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  const settings = await channel.get(`${group}!settings`);
  if (settings === false) throw new Error(`group ${group} has no settings`);
  const { id } = JSON.parse(settings.content.toString()) as { id: string };
  await channel.deleteQueue(`${group}!${id}`);
  await connection.close();
}

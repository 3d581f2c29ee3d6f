import { missing, startRabbitmq, type TestServer } from "@mecha/test-servers";
import { type ChannelModel, connect } from "amqplib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Flow } from "./flow.js";

describe.skipIf(missing("rabbitmq"))("a flow", () => {
  let server: TestServer;
  let model: ChannelModel;
  beforeAll(async () => {
    server = await startRabbitmq();
    model = await connect(server.url);
  }, 120_000);
  afterAll(async () => {
    await model.close();
    await server[Symbol.asyncDispose]();
  });

  async function open(queue: string) {
    const channel = await model.createChannel();
    await channel.assertQueue(queue, { arguments: { "x-queue-type": "quorum" } });
    const flow = new Flow({
      channel,
      queue,
      async giveBack(messages) {
        for (const message of messages) channel.nack(message);
      },
    });
    return { flow, consumers: async () => (await channel.checkQueue(queue)).consumerCount, channel };
  }

  test("of whom has gone leaves no consumer behind, to which events could come", async () => {
    const { flow, consumers } = await open("gone");
    expect(await flow.take(64, 1024, AbortSignal.abort())).toEqual([]);
    expect(await consumers()).toBe(0);
    const waiting = new AbortController();
    const taking = flow.take(64, 1024, waiting.signal);
    await expect.poll(consumers).toBe(1);
    waiting.abort();
    expect(await taking).toEqual([]);
    expect(await consumers()).toBe(0);
    await flow.stop();
  });

  test("keeps its consumer for who takes again and again", async () => {
    const { flow, consumers, channel } = await open("steady");
    const { signal } = new AbortController();
    for (let count = 0; count < 10; count++) {
      channel.sendToQueue("steady", Buffer.from("event"));
      const [message] = await flow.take(1, 1024, signal);
      expect(message?.fields.redelivered).toBe(false);
      if (message === undefined) throw new Error("the event did not come");
      channel.ack(message);
      flow.settled(message);
      expect(await consumers()).toBe(1);
    }
    await flow.stop();
  });
});

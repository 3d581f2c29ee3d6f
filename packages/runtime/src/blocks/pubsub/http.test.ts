import { createClient } from "@connectrpc/connect";
import { type Delivery, PubSubService } from "@mecha/api/pubsub";
import { pubsubLimits } from "@mecha/component";
import { CloudEvent, HTTP } from "cloudevents";
import { describe, expect, it } from "vitest";
import { component, startRuntime } from "../../../test/helpers.js";

/** A runtime, a producer that posts to it, and what a group was given. */
async function startDoor(options: Parameters<typeof startRuntime>[0] = {}) {
  const { endpoint, transport } = await startRuntime(options);
  const pubsub = createClient(PubSubService, transport);
  await pubsub.pull({ open: { topic: "orders" } });
  return {
    endpoint,
    async post(body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}, path = "orders") {
      const response = await fetch(`${endpoint}/publish/${path}`, { method: "POST", headers, body });
      const text = await response.text();
      return { status: response.status, json: (text === "" ? {} : JSON.parse(text)) as Record<string, never> };
    },
    async take(): Promise<Delivery[]> {
      return (await pubsub.pull({ open: { topic: "orders" } })).deliveries;
    },
  };
}

const textOf = ({ event }: Delivery) => Buffer.from(event?.data ?? []).toString();

const attributes = { id: "e-1", source: "/shop", type: "order.placed" };

describe("POST /publish/<topic>", () => {
  it("publishes any body as it is, with its type", async () => {
    const { post, take } = await startDoor();
    const answer = await post('{"total":42}', { "content-type": "application/json" });
    expect(answer).toEqual({ status: 200, json: { eventId: expect.any(String), duplicate: false } });
    const [delivery] = await take();
    expect(delivery?.event).toMatchObject({
      id: answer.json.eventId,
      type: "orders",
      source: "/ns/default/app/app",
      dataContentType: "application/json",
    });
    expect(textOf(delivery as Delivery)).toBe('{"total":42}');
  });

  it("publishes CloudEvents as the CNCF SDK sends them, binary and structured", async () => {
    const { post, take } = await startDoor();
    const sent = new CloudEvent({ ...attributes, partitionkey: "customer-7", data: { total: 42 } });
    for (const [index, message] of [HTTP.binary(sent), HTTP.structured(sent.cloneWith({ id: "e-2" }))].entries()) {
      const { status, json } = await post(message.body as string, message.headers as Record<string, string>);
      expect([status, json.eventId]).toEqual([200, `e-${index + 1}`]);
    }
    const deliveries = await take();
    expect(deliveries.map(textOf)).toEqual(['{"total":42}', '{"total":42}']);
    for (const { event, orderingKey } of deliveries) {
      expect(event).toMatchObject({
        source: "/shop",
        type: "order.placed",
        extensions: { partitionkey: "customer-7" },
      });
      expect(orderingKey).toBe("customer-7");
    }
  });

  it("publishes a batch, and tells of each event", async () => {
    const { post, take } = await startDoor();
    const batch = ["a", "b"].map((id) => ({ specversion: "1.0", ...attributes, id, data: id }));
    const type = { "content-type": "application/cloudevents-batch+json" };
    expect(await post(JSON.stringify(batch), type)).toEqual({
      status: 200,
      json: { results: ["a", "b"].map((eventId) => ({ published: { eventId, duplicate: false } })) },
    });
    expect((await take()).map(({ event }) => event?.id)).toEqual(["a", "b"]);

    const huge = { ...batch[0], id: "huge", data: "x".repeat(pubsubLimits.maxEventBytes) };
    const partly = await post(JSON.stringify([{ ...batch[0], id: "c" }, huge]), type);
    expect(partly).toMatchObject({
      status: 413,
      json: {
        code: "resource_exhausted",
        message: expect.stringMatching(
          /^1 of 2 events were not published, each for its reason in results; the first: event "huge" is/,
        ),
        results: [{ published: { eventId: "c" } }, { error: { reason: "TOO_LARGE" } }],
      },
    });
    expect((await take()).map(({ event }) => event?.id)).toEqual(["c"]);
  });

  it("takes an ordering key, a delay, a time to live and a request id", async () => {
    const { post, take } = await startDoor();
    await post("a", { "mecha-ordering-key": "k" });
    expect((await take())[0]).toMatchObject({ orderingKey: "k" });
    expect((await post("b", { "mecha-delay": "1h", "mecha-ttl": "2h" })).status).toBe(200);
    expect(await take()).toEqual([]);
    const [first, second] = [
      await post("c", { "mecha-request-id": "r" }),
      await post("c", { "mecha-request-id": "r" }),
    ];
    expect(first.json.duplicate).toBe(false);
    expect(second.json).toEqual({ eventId: first.json.eventId, duplicate: true });
  });

  it("takes the component that it is asked to", async () => {
    const { post } = await startDoor({
      resources: [component("memory", { default: true }), component("other")],
    });
    expect((await post("a", {}, "orders?pubsub=other")).status).toBe(200);
    expect(await post("a", {}, "orders?pubsub=nowhere")).toMatchObject({ status: 404, json: { code: "not_found" } });
  });

  it.each<[string, string, Record<string, string>, string, number]>([
    ["a topic that is none", "a%20b", {}, "entry.topic", 400],
    ["no topic", "", {}, "entry.topic", 400],
    ["a delay that is none", "orders", { "mecha-delay": "soon" }, "mecha-delay", 400],
    ["a compressed body", "orders", { "content-encoding": "gzip" }, "content-encoding", 400],
    ["attributes that are incomplete", "orders", { "ce-id": "1" }, "header ce-source", 400],
    [
      "a key that is not the event's",
      "orders",
      {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "s",
        "ce-type": "t",
        "ce-partitionkey": "a",
        "mecha-ordering-key": "b",
      },
      "mecha-ordering-key",
      400,
    ],
    ["a structured event that is no JSON", "orders", { "content-type": "application/cloudevents+json" }, "body", 400],
    ["a format that is not read", "orders", { "content-type": "application/cloudevents+avro" }, "content-type", 400],
    [
      "an extension that is none",
      "orders",
      { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-not_one": "x" },
      'entry.event.extensions["not_one"]',
      400,
    ],
  ])("refuses %s, and publishes nothing", async (_, path, headers, field, status) => {
    const { post, take } = await startDoor();
    const answer = await post("not json", headers, path);
    expect(answer).toMatchObject({ status, json: { code: "invalid_argument" } });
    const { details } = answer.json as unknown as { details: { debug: { fieldViolations?: { field: string }[] } }[] };
    const fields = details.flatMap(({ debug }) => debug.fieldViolations?.map((violation) => violation.field) ?? []);
    expect(fields).toContain(field);
    expect(await take()).toEqual([]);
  });

  it("refuses what is too large before it is read", async () => {
    const { post } = await startDoor();
    expect(await post(new Uint8Array(pubsubLimits.maxEventBytes + 1))).toMatchObject({
      status: 413,
      json: { code: "resource_exhausted" },
    });
    expect((await post(new Uint8Array(13 * 1024 * 1024))).status).toBe(413);
  });

  it("is guarded like every door: a method, a token, an origin", async () => {
    const { endpoint } = await startDoor({ token: "secret" });
    const publish = (init: RequestInit) => fetch(`${endpoint}/publish/orders`, init);
    const get = await publish({ headers: { authorization: "Bearer secret" } });
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await publish({ method: "POST", body: "a" })).status).toBe(401);
    const foreign = { authorization: "Bearer secret", origin: "https://evil.example" };
    expect((await publish({ method: "POST", body: "a", headers: foreign })).status).toBe(403);
  });
});

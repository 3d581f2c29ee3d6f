import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@mecha/api/pubsub";
import { CloudEvent, HTTP } from "cloudevents";
import { describe, expect, it } from "vitest";
import { encodeEvents } from "../subscriptions/request.js";
import { decodeHeader, encodeHeader } from "./binary.js";
import { readEvents } from "./read.js";

const time = new Date("2026-11-21T10:00:00.123Z");

const event = (more: Partial<Omit<Event, "$typeName" | "$unknown">> = {}): Event =>
  create(EventSchema, {
    id: "1",
    source: "/ns/default/app/shop",
    type: "order.placed",
    time: timestampFromDate(time),
    dataContentType: "application/json",
    data: Buffer.from('{"total":42}'),
    ...more,
  });

/** Every kind of event that there is, by what is special to it. */
const events: [string, Event, unknown][] = [
  ["JSON", event(), { total: 42 }],
  ["JSON of another type", event({ dataContentType: "application/vnd.shop+json" }), undefined],
  ["text", event({ dataContentType: "text/plain", data: Buffer.from("hello, wörld") }), "hello, wörld"],
  ["bytes", event({ dataContentType: "application/octet-stream", data: randomBytes(100) }), undefined],
  ["bytes that say they are JSON", event({ data: Buffer.from("{") }), undefined],
  ["no data", event({ dataContentType: "application/octet-stream", data: new Uint8Array() }), undefined],
  ["no data of type JSON", event({ data: new Uint8Array() }), undefined],
  ["extensions", event({ extensions: { region: "eu", traceparent: "00-1-2-01", n1: "" } }), { total: 42 }],
  ["subject and schema", event({ subject: "orders/1 %20", dataSchema: "https://shop.example/order" }), { total: 42 }],
  ["unicode", event({ subject: 'Grüße, "世界" 🎉 100%', extensions: { city: "Köln" } }), { total: 42 }],
];

const outgoing = (one: Event) => [{ event: one, orderingKey: "" }];

/** What an app behind Node's HTTP server hands to the SDK. */
const received = ({ headers, body }: ReturnType<typeof encodeEvents>) => ({
  headers,
  body: typeof body === "string" ? body : body.byteLength > 0 ? Buffer.from(body).toString() : undefined,
});

const textOf = (one: Event) => Buffer.from(one.data).toString();

describe("an event that the runtime writes is read back as it was", () => {
  it.each(events)("binary: %s", (_, one) => {
    const { headers, body } = encodeEvents("binary", outgoing(one));
    const read = readEvents(headers, Buffer.from(body)) as Event;
    expect(Buffer.from(read.data)).toEqual(Buffer.from(one.data));
    expect({ ...read, data: undefined }).toEqual({ ...one, data: undefined });
  });

  it.each(events)("structured and batched: %s", (_, one) => {
    for (const format of ["structured", "batched"] as const) {
      const { headers, body } = encodeEvents(format, outgoing(one));
      const read = [readEvents(headers, Buffer.from(body))].flat();
      expect(read).toHaveLength(1);
      expect(textOf(read[0] as Event)).toBe(textOf(one));
      expect({ ...read[0], data: undefined }).toEqual({ ...one, data: undefined });
    }
  });
});

describe("the CNCF SDK accepts what the runtime writes", () => {
  const check = (parsed: CloudEvent<unknown>, one: Event) => {
    expect(parsed.validate()).toBe(true);
    expect(parsed).toMatchObject({ id: one.id, source: one.source, type: one.type, time: time.toISOString() });
    expect(parsed.datacontenttype).toBe(one.dataContentType);
  };

  it.each(events)("binary: %s", (name, one, data) => {
    const message = received(encodeEvents("binary", outgoing(one)));
    // The SDK parses JSON at once: what is none is refused there, as by any reader of the data.
    if (name === "bytes that say they are JSON") return expect(() => HTTP.toEvent(message)).toThrow();
    const parsed = HTTP.toEvent(message) as CloudEvent<unknown>;
    check(parsed, one);
    if (data !== undefined) expect(parsed.data).toEqual(data);
    // It leaves the percent-encoding of headers to its caller.
    if (one.subject !== "") expect(decodeHeader(parsed.subject ?? "")).toBe(one.subject);
    for (const [key, value] of Object.entries(one.extensions)) expect(decodeHeader(String(parsed[key]))).toBe(value);
  });

  it.each(events)("structured: %s", (_, one, data) => {
    const parsed = HTTP.toEvent(received(encodeEvents("structured", outgoing(one)))) as CloudEvent<unknown>;
    check(parsed, one);
    if (data !== undefined) expect(parsed.data).toEqual(data);
    if (one.subject !== "") expect(parsed.subject).toBe(one.subject);
    for (const [key, value] of Object.entries(one.extensions)) expect(parsed[key]).toBe(value);
  });

  it("batched: all of them", () => {
    const all = events.map(([, one]) => ({ event: one, orderingKey: "" }));
    const parsed = HTTP.toEvent(received(encodeEvents("batched", all))) as CloudEvent<unknown>[];
    expect(parsed).toHaveLength(events.length);
    for (const [index, one] of parsed.entries()) check(one, all[index]?.event as Event);
    const bytes = events.findIndex(([name]) => name === "bytes");
    expect(Buffer.from(parsed[bytes]?.data_base64 ?? "", "base64")).toEqual(Buffer.from(all[bytes]?.event.data ?? []));
  });

  it("an ordering key is its partition key", () => {
    const written = encodeEvents("binary", [{ event: event(), orderingKey: "customer 7" }]);
    expect(written.headers["ce-partitionkey"]).toBe("customer%207");
  });
});

describe("the runtime accepts what the CNCF SDK writes", () => {
  const attributes = {
    id: "1",
    source: "/shop",
    type: "order.placed",
    subject: "50% off",
    time: time.toISOString(),
    region: "eu",
    count: 3,
    urgent: true,
  };
  const expected = {
    id: "1",
    source: "/shop",
    type: "order.placed",
    subject: "50% off",
    time: timestampFromDate(time),
    extensions: { region: "eu", count: "3", urgent: "true" },
  };
  const bytes = randomBytes(20);

  it.each([
    ["JSON", { datacontenttype: "application/json", data: { total: 42 } }, '{"total":42}'],
    ["JSON without a type", { data: { total: 42 } }, '{"total":42}'],
    ["text", { datacontenttype: "text/plain", data: "hello, wörld" }, "hello, wörld"],
    ["bytes", { datacontenttype: "application/octet-stream", data: bytes }, bytes],
    ["nothing", {}, ""],
  ])("%s", (_, more, data) => {
    const sent = new CloudEvent<unknown>({ ...attributes, ...more });
    for (const { headers, body } of [HTTP.binary(sent), HTTP.structured(sent)]) {
      const headerTexts = Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, String(value)]));
      const read = readEvents(headerTexts, Buffer.from((body ?? "") as string | Buffer));
      expect(read).toMatchObject(expected);
      expect(Buffer.from((read as Event).data)).toEqual(Buffer.from(data));
    }
  });
});

describe("headers", () => {
  it("carry any text, and spare what needs no encoding", () => {
    expect(encodeHeader("order.placed/1?a=b&c")).toBe("order.placed/1?a=b&c");
    expect(encodeHeader('Grüße "100%"')).toBe("Gr%C3%BC%C3%9Fe%20%22100%25%22");
    for (const text of ["", " ", "€", "\u0000\n", "😀", "%41"]) expect(decodeHeader(encodeHeader(text))).toBe(text);
    expect(encodeHeader("\ud800")).toBe("%EF%BF%BD");
  });

  it("are read as leniently as the specification wants", () => {
    expect(decodeHeader('"quoted \\"text\\" and %41"')).toBe('quoted "text" and A');
    expect(decodeHeader("50% off, %zz, %ff")).toBe("50% off, %zz, %ff");
  });
});

describe("JSON", () => {
  it("keeps numbers that JavaScript cannot hold, digit for digit", () => {
    const body = '{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"n":12345678901234567890,"x":1.10}}';
    const read = readEvents({ "content-type": "application/cloudevents+json" }, Buffer.from(body)) as Event;
    expect(textOf(read)).toBe('{"n":12345678901234567890,"x":1.10}');
    expect(encodeEvents("structured", outgoing(read)).body).toContain('"data":{"n":12345678901234567890,"x":1.10}');
  });

  it.each<[string, unknown, string]>([
    ["no object", 5, "body is not a JSON object"],
    ["no attributes", {}, "id is missing"],
    [
      "another version",
      { specversion: "0.3", id: "1", source: "s", type: "t" },
      'specversion is "0.3"; it must be "1.0"',
    ],
    [
      "no time",
      { specversion: "1.0", id: "1", source: "s", type: "t", time: "today" },
      "time is no time as RFC 3339 has it",
    ],
    [
      "an object as an attribute",
      { specversion: "1.0", id: "1", source: "s", type: "t", a: {} },
      "a must be a string, a number or a boolean",
    ],
    [
      "data twice",
      { specversion: "1.0", id: "1", source: "s", type: "t", data: 1, data_base64: "" },
      "data_base64 cannot stand beside data",
    ],
    [
      "no base64",
      { specversion: "1.0", id: "1", source: "s", type: "t", data_base64: "?" },
      "data_base64 is not base64",
    ],
  ])("with %s is refused", (_, body, message) => {
    const read = () =>
      readEvents({ "content-type": "application/cloudevents+json" }, Buffer.from(JSON.stringify(body)));
    expect(read).toThrow(message);
  });

  it("in a batch names the event that is wrong", () => {
    const good = { specversion: "1.0", id: "1", source: "s", type: "t" };
    const body = Buffer.from(JSON.stringify([good, { ...good, type: "" }]));
    expect(() => readEvents({ "content-type": "application/cloudevents-batch+json" }, body)).toThrow(
      "[1].type is missing",
    );
  });
});

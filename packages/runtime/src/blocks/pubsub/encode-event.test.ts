import { create, isFieldSet, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { EventSchema } from "@mecha/api/pubsub";
import { expect, test } from "vitest";
import { readEvent } from "./convert.js";
import { encodeEvent, encodeEvents } from "./encode-event.js";

const full = create(EventSchema, {
  id: "1",
  source: "/here",
  type: "order.placed",
  subject: "Ünïcödé 🛒",
  time: { seconds: -1n, nanos: 999_999_999 },
  dataContentType: "application/json",
  dataSchema: "urn:schema",
  data: new TextEncoder().encode("{}"),
  extensions: { one: "1", empty: "", long: "x".repeat(1_000) },
});
full.$unknown = [{ no: 1_000, wireType: WireType.Varint, data: new Uint8Array([7]) }];

const event = (init: MessageInitShape<typeof EventSchema>) => create(EventSchema, init);
const sized = (size: number) => event({ id: String(size), data: new Uint8Array(size).fill(size % 256) });

test("events are encoded as the contract's generated code reads and writes them", () => {
  for (const each of [full, event({}), event({ time: {} }), sized(1), sized(200), sized(128 * 1024)]) {
    expect(readEvent(encodeEvent(each))).toEqual(each);
    expect(encodeEvent(each)).toEqual(toBinary(EventSchema, each));
  }
  expect(EventSchema.fields.filter((field) => !isFieldSet(full, field))).toEqual([]);
});

test("many events are encoded as each of them is", () => {
  const events = [
    full,
    sized(0),
    ...Array.from({ length: 300 }, (_, index) => sized(index * 7)),
    sized(128 * 1024),
    full,
  ];
  expect(encodeEvents(events)).toEqual(events.map(encodeEvent));
  expect(encodeEvents([])).toEqual([]);
});

test("whoever keeps one of many events keeps no more than some of them", () => {
  for (const payload of encodeEvents([...Array.from({ length: 1_000 }, () => sized(1_024)), sized(128 * 1024)])) {
    expect(payload.buffer.byteLength).toBeLessThan(payload.length + 80 * 1024);
  }
});

test("an event that cannot be encoded leaves nothing behind for the next", () => {
  const broken = event({ id: "broken" });
  broken.data = undefined as never;
  expect(() => encodeEvent(broken)).toThrow();
  expect(() => encodeEvents([full, broken])).toThrow();
  expect(readEvent(encodeEvent(full))).toEqual(full);
});

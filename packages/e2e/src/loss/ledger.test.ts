import { expect, test } from "vitest";
import { Ledger } from "./ledger.ts";
import type { EventName } from "./protocol.ts";

const source = "/ns/default/app/e2e";
const groups = [
  { name: "ordered", ordered: true },
  { name: "unordered", ordered: false },
];

function createLedger(...attempted: EventName[]) {
  const ledger = new Ledger(groups, source);
  if (attempted.length > 0) ledger.hear(["attempt", ...attempted]);
  const got = (group: string, ...events: EventName[]) => {
    for (const [key, number] of events) ledger.hear(["got", group, source, `${key}.${number}`, key, number]);
  };
  return { ledger, got };
}

test("what every group got once, in order, is well", () => {
  const { ledger, got } = createLedger(["a", 0], ["b", 0], ["a", 1]);
  ledger.hear(["ack", ["a", 0], ["b", 0]]);
  got("ordered", ["b", 0], ["a", 0], ["a", 1]);
  got("unordered", ["a", 1], ["a", 0], ["b", 0]);
  expect(ledger.missing).toBe(0);
  expect(ledger.judge()).toEqual({ acknowledged: 2, lost: 0, reordered: 0, duplicated: 0, foreign: 0 });
});

test("what a group was never delivered is lost, once for each group, if it was acknowledged", () => {
  const { ledger, got } = createLedger(["a", 0], ["a", 1], ["a", 2]);
  ledger.hear(["ack", ["a", 0], ["a", 1]]);
  got("ordered", ["a", 0]);
  expect(ledger.judge()).toMatchObject({ acknowledged: 2, lost: 3 });
});

test("it does not matter whether the ack or the delivery is heard first", () => {
  const { ledger, got } = createLedger();
  got("ordered", ["a", 0]);
  got("unordered", ["a", 0]);
  ledger.hear(["ack", ["a", 0]]);
  ledger.hear(["attempt", ["a", 0]]);
  expect(ledger.judge()).toEqual({ acknowledged: 1, lost: 0, reordered: 0, duplicated: 0, foreign: 0 });
});

test("a first delivery behind a later event of its key is reordered, a second one is a duplicate", () => {
  const { ledger, got } = createLedger(["a", 0], ["a", 1], ["a", 2]);
  got("ordered", ["a", 1], ["a", 0], ["a", 1], ["a", 2], ["a", 0]);
  got("unordered", ["a", 2], ["a", 0]);
  expect(ledger.judge()).toMatchObject({ reordered: 1, duplicated: 2 });
});

test("what nobody published, or comes under another name, is foreign", () => {
  const { ledger, got } = createLedger(["a", 0]);
  got("ordered", ["a", 0], ["a", 1]);
  ledger.hear(["got", "ordered", source, "a.7", "a", 0]);
  ledger.hear(["got", "ordered", "/ns/default/app/other", "a.0", "a", 0]);
  ledger.hear(["got", "third", source, "a.0", "a", 0]);
  expect(ledger.judge()).toMatchObject({ foreign: 4, duplicated: 0 });
});

test("a publisher goes on with the first event that is not acknowledged", () => {
  const { ledger } = createLedger(["a", 0], ["a", 1], ["a", 2]);
  ledger.hear(["ack", ["a", 0], ["a", 2]]);
  expect(ledger.firstOpen(["a", 0])).toEqual(["a", 1]);
  expect(ledger.firstOpen(["b", 0])).toEqual(["b", 0]);
});

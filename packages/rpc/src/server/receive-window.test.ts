import { expect, test } from "vitest";
import { ReceiveWindow } from "./receive-window.js";

test("what is sent must fit, and room is given back by quarters", () => {
  const window = new ReceiveWindow(100);
  expect(window.take(60)).toBe(true);
  expect([window.consume(24), window.consume(1), window.consume(25, true)]).toEqual([0, 25, 25]);
  expect(window.take(90)).toBe(true);
  expect(window.take(1)).toBe(false);
});

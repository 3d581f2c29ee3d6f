import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { until } from "../../test/helpers.js";
import type { Answer, Outbound, OutboundRequest } from "./exchange.js";
import { createLaneQueue } from "./lane-queue.js";

/** A queue for connections that free themselves only when they are told to. */
function startQueue() {
  const sent: string[] = [];
  const cancelled: string[] = [];
  const outbound = (target: string, body?: PassThrough): Outbound => ({
    body,
    finish: () => void body?.end(),
    cancel: () => void cancelled.push(target),
  });
  const queue = createLaneQueue(({ target }) => {
    sent.push(`lane ${target}`);
    return outbound(target);
  });
  const bodies: Promise<string>[] = [];
  const failed: string[] = [];
  const answer = { failed: ({ error }: { error: Error }) => failed.push(error.message) } as unknown as Answer;
  return {
    queue,
    sent,
    cancelled,
    bodies,
    failed,
    free: () => queue.freed(performance.now()),
    join(target: string) {
      const whole = Buffer.from(`body of ${target}`);
      const request: OutboundRequest = {
        ...{ method: "POST", target, headers: {} },
        ...{ hasBody: true, awaitsContinue: false, whole },
      };
      return queue.join(request, answer, () => {
        sent.push(`stream ${target}`);
        const body = new PassThrough();
        bodies.push(text(body));
        return outbound(target, body);
      });
    },
  };
}

/** The same, where connections have just become free one after the other. */
function startBusy() {
  const busy = startQueue();
  for (let count = 0; count < 4; count++) busy.free();
  return busy;
}

test("a call does not wait where no connection becomes free", () => {
  const { join, free } = startQueue();
  expect(join("/a")).toBeUndefined();
  free();
  expect(join("/a")).toBeUndefined();
});

test("calls wait for the next connection, first come first served", () => {
  const { join, free, sent } = startBusy();
  const waiting = [join("/a"), join("/b")];
  expect(waiting).toEqual([expect.anything(), expect.anything()]);
  expect(sent).toEqual([]);
  free();
  expect(sent).toEqual(["lane /a"]);
  free();
  free();
  expect(sent).toEqual(["lane /a", "lane /b"]);
});

test("who has waited too long goes as a stream, with the body, and is cancelled there", async () => {
  const { join, free, sent, bodies, cancelled } = startBusy();
  const waiting = join("/a");
  await until(() => sent.length > 0, "it goes on");
  expect(sent).toEqual(["stream /a"]);
  expect(await bodies[0]).toBe("body of /a");
  free();
  expect(sent).toEqual(["stream /a"]);
  waiting?.cancel();
  expect(cancelled).toEqual(["/a"]);
});

test("who leaves while it waits is not sent", () => {
  const { join, free, sent, cancelled } = startBusy();
  join("/a")?.cancel();
  join("/b");
  free();
  expect([sent, cancelled]).toEqual([["lane /b"], []]);
});

test("a request that cannot be written fails, and the next one is sent", () => {
  const sent: string[] = [];
  const queue = createLaneQueue(({ target }) => {
    if (target === "/bad") throw new TypeError("not to be written");
    sent.push(target);
    return { body: undefined, finish() {}, cancel() {} };
  });
  for (let count = 0; count < 4; count++) queue.freed(performance.now());
  const failures: unknown[] = [];
  const answer = { failed: (failure: unknown) => failures.push(failure) } as unknown as Answer;
  for (const target of ["/bad", "/good"]) {
    const request = { method: "GET", target, headers: {}, hasBody: false, awaitsContinue: false };
    queue.join(request, answer, () => expect.unreachable());
  }
  queue.freed(performance.now());
  queue.freed(performance.now());
  expect(failures).toEqual([{ error: new TypeError("not to be written"), untouched: true }]);
  expect(sent).toEqual(["/good"]);
});

test("where there will be no connection all go as streams", () => {
  const { join, queue, sent } = startBusy();
  join("/a");
  join("/b");
  queue.flush();
  expect(sent).toEqual(["stream /a", "stream /b"]);
});

test("only so many wait", () => {
  const { join } = startBusy();
  const joined = Array.from({ length: 200 }, (_, index) => join(`/${index}`));
  expect(joined.filter((each) => each !== undefined).length).toBeLessThanOrEqual(128);
  for (const each of joined) each?.cancel();
});

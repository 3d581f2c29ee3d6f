import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { Worker } from "node:worker_threads";
import { systemClock } from "@mecha/component";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../test/helpers.js";
import { expires } from "./deadline.js";

/** A server beside this thread, which answers whatever this thread does. */
async function startEcho(): Promise<number> {
  const program = `
    const { parentPort } = require("node:worker_threads");
    const server = require("node:net").createServer((socket) => socket.pipe(socket).on("error", () => {}));
    server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address()));
  `;
  const worker = new Worker(program, { eval: true });
  onTestFinished(async () => void (await worker.terminate()));
  const [{ port }] = (await once(worker, "message")) as [AddressInfo];
  return port;
}

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

test("an answer that came while the process stood still is in time", async () => {
  const socket = connect(await startEcho(), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  const happened: string[] = [];
  const cancel = expires(systemClock, 20, () => happened.push("expired"));
  socket.once("data", () => {
    happened.push("answered");
    cancel();
  });
  socket.write("?");
  await new Promise((resolve) => setImmediate(resolve));
  standStill(300);
  await until(() => happened.length > 0, "one of both happens");
  expect(happened).toEqual(["answered"]);
});

test("what does not come expires, and not once it was given up", async () => {
  const given = expires(systemClock, 1, () => expect.unreachable());
  given();
  await new Promise<void>((resolve) => void expires(systemClock, 5, resolve));
});

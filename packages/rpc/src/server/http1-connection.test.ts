import * as net from "node:net";
import { expect, test } from "vitest";
import { eventually } from "../../test/eventually.js";
import { RawConnection } from "../../test/raw-http1.js";
import { Http1Connection } from "./http1-connection.js";
import type { Http1Serving } from "./http1-serving.js";
import { createWatch } from "./watch.js";

const request = "POST /a.B/C HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";

/** A server of such connections, which answers every call at once. */
async function start(limits: Pick<Http1Serving, "headersTimeoutMs" | "keepAliveMs">) {
  const watch = createWatch(20);
  let open = 0;
  const serving: Http1Serving = {
    ...limits,
    environment: { watch, bodyTimeoutMs: 60_000, writeTimeoutMs: 60_000, secure: false },
    maxHeaderBytes: 16_384,
    serve(exchange) {
      exchange.respond(200, [], new Uint8Array());
      return true;
    },
    handOver: (socket) => void socket.destroy(),
    left: () => void open--,
  };
  const server = net.createServer((socket) => {
    open++;
    new Http1Connection(socket, serving);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    open: () => open,
    async [Symbol.asyncDispose]() {
      watch.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a connection that says nothing is closed", async () => {
  await using server = await start({ headersTimeoutMs: 50, keepAliveMs: 60_000 });
  using connection = new RawConnection(server.endpoint);
  await eventually(() => connection.closed, "the end of the connection");
  await eventually(() => server.open() === 0, "that it is forgotten");
});

test("a connection that is idle after its answer is closed when its time is over, and no sooner", async () => {
  await using server = await start({ headersTimeoutMs: 50, keepAliveMs: 300 });
  using connection = new RawConnection(server.endpoint).send(request);
  await eventually(() => connection.text !== "", "the answer");
  const answered = performance.now();
  expect(connection.text).toContain("Keep-Alive: timeout=0.3\r\n");
  await eventually(() => connection.closed, "the end of the connection");
  expect(performance.now() - answered).toBeGreaterThanOrEqual(250);
});

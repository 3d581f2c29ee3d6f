import * as http from "node:http";
import { type Duplex, PassThrough } from "node:stream";
import { appHost } from "../app/client.js";
import type { Answer, Outbound, OutboundRequest } from "./exchange.js";
import { endToEnd } from "./headers.js";

/** Asks the app for a WebSocket, on a connection of its own. What the caller sends waits until it is granted. */
export function sendUpgrade(port: number, { target, headers }: OutboundRequest, answer: Answer): Outbound {
  let body: Duplex = new PassThrough();
  let over: boolean = false;
  const fail = (error: Error) => {
    if (over) return;
    over = true;
    const untouched = "code" in error && error.code === "ECONNREFUSED";
    answer.failed({ error, untouched });
  };
  const outgoing = http.request({
    agent: false,
    host: appHost,
    port,
    method: "GET",
    path: target,
    headers: { ...headers, host: `${appHost}:${port}`, connection: "Upgrade", upgrade: "websocket" },
    setDefaultHeaders: false,
  });
  outgoing.once("upgrade", (response, socket, head) => {
    body = socket;
    if (head.byteLength > 0) socket.unshift(head);
    socket.once("error", fail);
    socket.once("end", () => {
      over = true;
    });
    socket.once("close", () => fail(new Error("the app broke the connection off")));
    answer.responded({
      status: 200,
      headers: endToEnd(response.headers),
      body: socket,
      trailers: () => ({}),
    });
    answer.continued();
  });
  outgoing.once("response", (response) => {
    response.once("error", fail);
    response.once("end", () => {
      over = true;
    });
    // 200 is the word for "granted" here, and the app has not.
    const status = response.statusCode === 200 ? 502 : (response.statusCode ?? 502);
    answer.responded({
      status,
      headers: endToEnd(response.headers),
      body: response,
      trailers: () => ({}),
    });
  });
  outgoing.once("error", fail);
  outgoing.end();
  return {
    get body() {
      return body;
    },
    finish: () => void body.end(),
    cancel() {
      outgoing.destroy();
      body.destroy();
    },
  };
}

import { type IncomingMessage, ServerResponse, validateHeaderValue } from "node:http";
import type { Socket } from "node:net";
import { type Duplex, PassThrough } from "node:stream";
import type { Inbound } from "./exchange.js";
import type { HeaderMap } from "./headers.js";

/** How long the other app may take to grant a WebSocket, in ms. */
const answerTimeoutMs = 30_000;

/** The app's request for a WebSocket. Once it is granted the connection is the body, both ways. */
export function fromUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, target: string): Inbound {
  let responded = false;
  let refusal: ServerResponse | undefined;
  socket.on("error", () => {});
  if (head.byteLength > 0) socket.unshift(head);
  // Read from the start, as far as this holds: only so one sees that the other side hung up before it had its answer.
  const body = new PassThrough();
  socket.pipe(body);
  socket.once("end", () => {
    if (!responded) socket.destroy();
  });
  const timer = setTimeout(() => {
    if (!responded) socket.destroy();
  }, answerTimeoutMs);
  timer.unref();
  socket.once("close", () => {
    clearTimeout(timer);
    body.destroy();
  });
  const refuseWith = (status: number, headers: HeaderMap): ServerResponse => {
    responded = true;
    refusal = new ServerResponse(request);
    refusal.shouldKeepAlive = false;
    refusal.assignSocket(socket as Parameters<ServerResponse["assignSocket"]>[0]);
    // All of it: a connection that is only half closed would wait for the other side for ever.
    refusal.once("finish", () => destroySoon(socket));
    refusal.writeHead(status, headers);
    return refusal;
  };
  return {
    // RFC 8441, section 4: how HTTP/2 asks for a WebSocket.
    method: "CONNECT",
    target,
    headers: request.headers,
    hasBody: true,
    body,
    whole: undefined,
    cutShort: false,
    awaitsContinue: false,
    trailers: () => ({}),
    sendContinue() {},
    sendInformation() {},
    respondWhole(status, headers, content) {
      refuseWith(status, headers).end(content.byteLength === 0 ? undefined : content);
    },
    respond(status, headers) {
      if (status !== 200) return refuseWith(status, headers);
      responded = true;
      const lines = Object.entries(headers).flatMap(([name, value]) =>
        [value].flat().map((one) => {
          validateHeaderValue(name, one);
          return `${name}: ${one}\r\n`;
        }),
      );
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n${lines.join("")}\r\n`,
      );
      return socket;
    },
    finish() {
      if (refusal === undefined) socket.end();
      else refusal.end();
    },
    breakOff: () => void socket.destroy(),
    get responded() {
      return responded;
    },
    onGone(gone) {
      if (socket.destroyed) gone();
      else socket.once("close", gone);
    },
  };
}

/** Ends a connection once what was written to it is sent. */
function destroySoon(socket: Duplex): void {
  (socket as Socket).destroySoon();
}

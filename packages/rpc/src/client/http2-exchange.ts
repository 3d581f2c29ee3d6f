import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { deadlineExceeded, EarlyEnd } from "../call/end.js";
import { toResetError } from "../wire/reset-error.js";
import type { ClientConfig } from "./config.js";
import { connectionLost } from "./connect-socket.js";
import type { Http2Sessions } from "./http2-sessions.js";
import type { OutgoingCall } from "./outgoing-call.js";

/** What a stream tells the one who opened it. */
export interface Http2Events {
  /** The stream is open: send the body. */
  open(stream: ClientHttp2Stream): void;
  response(headers: IncomingHttpHeaders, stream: ClientHttp2Stream): void;
  data(chunk: Uint8Array): void;
  /** The whole response is there. */
  end(trailers: IncomingHttpHeaders): void;
  /** It will not be. Nothing else is told after this or after `end`. */
  fail(error: ConnectError): void;
}

/** Opens a stream for a call, and ends it when the call's signal or deadline says so. */
export function openHttp2(
  sessions: Http2Sessions,
  call: OutgoingCall,
  headers: OutgoingHttpHeaders,
  events: Http2Events,
): void {
  let stream: ClientHttp2Stream | undefined;
  let early: EarlyEnd | undefined;
  let over = false;
  const finish = (): boolean => {
    if (over) return false;
    over = true;
    early?.clear();
    return true;
  };
  const expiresAt = performance.now() + (call.timeoutMs ?? Number.POSITIVE_INFINITY);
  const fail = (error: ConnectError) => {
    if (!finish()) return;
    // A server keeps the deadline too, and its reset may be here before our timer.
    const expired = error.code === Code.Canceled && performance.now() >= expiresAt;
    events.fail(expired ? deadlineExceeded() : error);
  };
  const stopWaiting = sessions.open(headers, {
    fail,
    take(opened) {
      stream = opened;
      listen(opened, events, () => over, finish, fail);
      events.open(opened);
    },
  });
  if (over || (call.signal === undefined && call.timeoutMs === undefined)) return;
  early = new EarlyEnd(call.signal, call.timeoutMs, (error) => {
    stopWaiting();
    fail(error);
    stream?.close(constants.NGHTTP2_CANCEL);
  });
}

function listen(
  stream: ClientHttp2Stream,
  events: Http2Events,
  isOver: () => boolean,
  finish: () => boolean,
  fail: (error: ConnectError) => void,
): void {
  const { session } = stream;
  let trailers: IncomingHttpHeaders = {};
  let cause: unknown;
  let answered = false;
  stream.on("response", (headers) => {
    answered = true;
    events.response(headers, stream);
  });
  stream.on("trailers", (received) => {
    trailers = received;
  });
  stream.on("data", (chunk: Uint8Array) => events.data(chunk));
  stream.on("end", () => {
    // A stream that is destroyed ends, too; "close" tells why.
    if (!answered || stream.aborted || (stream.rstCode ?? 0) !== constants.NGHTTP2_NO_ERROR) return;
    if (finish()) events.end(trailers);
  });
  stream.on("error", (error) => {
    cause = error;
  });
  stream.on("close", () => {
    if (isOver()) return;
    if (cause instanceof ConnectError) {
      fail(cause);
      return;
    }
    const lost = session === undefined || session.destroyed || session.socket?.destroyed === true;
    const code = stream.rstCode ?? constants.NGHTTP2_NO_ERROR;
    fail(lost && code !== constants.NGHTTP2_REFUSED_STREAM ? connectionLost(cause) : toResetError(code, cause));
  });
}

/** The pseudo headers of a request. */
export function toPseudoHeaders({ endpoint }: ClientConfig, method: string, path: string): OutgoingHttpHeaders {
  return {
    ":method": method,
    ":path": path,
    ":scheme": endpoint.secure ? "https" : "http",
    ":authority": endpoint.authority,
  };
}

/** Headers from Node's; a name that comes more than once keeps all its values. */
export function fromHttp2Headers(source: IncomingHttpHeaders): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(source)) {
    if (name.startsWith(":") || value === undefined) continue;
    if (typeof value === "string") headers.append(name, value);
    else for (const item of value) headers.append(name, item);
  }
  return headers;
}

import { constants, type IncomingHttpHeaders } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import { toAbortError } from "../call/end.js";
import { type ConnectResponse, fromConnectResponse, toConnectRequest } from "../protocol-connect/unary-client.js";
import { readLimitError } from "../wire/limits.js";
import type { ClientConfig } from "./config.js";
import { fromHttp2Headers, openHttp2, toPseudoHeaders } from "./http2-exchange.js";
import type { Http2Sessions } from "./http2-sessions.js";
import type { OutgoingCall } from "./outgoing-call.js";
import type { UnaryAnswer } from "./unary-answer.js";

/** Makes a Connect unary call over HTTP/2. */
export async function callUnaryHttp2(
  config: ClientConfig,
  sessions: Http2Sessions,
  call: OutgoingCall,
  message: Message,
): Promise<UnaryAnswer> {
  if (call.signal?.aborted) throw toAbortError(call.signal.reason);
  const made = toConnectRequest(config, call, message);
  const request = made instanceof Promise ? await made : made;
  const headers = toPseudoHeaders(config, request.method, request.path);
  for (let index = 0; index < request.headers.length; index += 2) {
    headers[request.headers[index] as string] = request.headers[index + 1];
  }
  const response = await new Promise<ConnectResponse>((resolve, reject) => {
    let received: IncomingHttpHeaders = {};
    const chunks: Uint8Array[] = [];
    let size = 0;
    let close = () => {};
    openHttp2(sessions, call, headers, {
      open(stream) {
        close = () => stream.close(constants.NGHTTP2_CANCEL);
        if (request.body === undefined) stream.end();
        else stream.end(request.body);
      },
      response(head) {
        received = head;
      },
      data(chunk) {
        size += chunk.length;
        if (size <= config.readMaxBytes) chunks.push(chunk);
        else {
          reject(readLimitError(config.readMaxBytes));
          close();
        }
      },
      end: () => resolve(toResponse(received, chunks, size)),
      fail: reject,
    });
  });
  return fromConnectResponse(config, call, response);
}

function toResponse(head: IncomingHttpHeaders, chunks: Uint8Array[], size: number): ConnectResponse {
  const body = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return {
    status: Number(head[":status"]),
    contentType: head["content-type"],
    contentEncoding: head["content-encoding"],
    body,
    headers: () => fromHttp2Headers(head),
  };
}

import type { Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { EarlyEnd, toAbortError } from "../call/end.js";
import {
  type ConnectRequest,
  type ConnectResponse,
  fromConnectResponse,
  toConnectRequest,
} from "../protocol-connect/unary-client.js";
import { encodeHttp1RequestHead } from "../wire/http1-request.js";
import type { ClientConfig } from "./config.js";
import type { Http1Pool } from "./http1-pool.js";
import type { Http1Response } from "./http1-whole-response.js";
import type { OutgoingCall } from "./outgoing-call.js";
import type { UnaryAnswer } from "./unary-answer.js";

/** Makes a Connect unary call over HTTP/1.1. */
export async function callUnaryHttp1(
  config: ClientConfig,
  pool: Http1Pool,
  call: OutgoingCall,
  message: Message,
): Promise<UnaryAnswer> {
  if (call.signal?.aborted) throw toAbortError(call.signal.reason);
  const made = toConnectRequest(config, call, message);
  const request = made instanceof Promise ? await made : made;
  const response = await send(config, pool, call, request);
  return fromConnectResponse(config, call, toConnectResponse(response));
}

function send(
  config: ClientConfig,
  pool: Http1Pool,
  call: OutgoingCall,
  request: ConnectRequest,
): Promise<Http1Response> {
  return new Promise((resolve, reject) => {
    let early: EarlyEnd | undefined;
    const cancel = pool.send({
      head: toHead(config, request),
      body: request.body,
      done: (error, response) => {
        early?.clear();
        if (response) resolve(response);
        else reject(error);
      },
    });
    if (call.signal === undefined && call.timeoutMs === undefined) return;
    early = new EarlyEnd(call.signal, call.timeoutMs, (error: ConnectError) => {
      early?.clear();
      cancel();
      reject(error);
    });
  });
}

function toHead(config: ClientConfig, { method, path, headers }: ConnectRequest): string {
  return encodeHttp1RequestHead(method, path, config.endpoint.authority, headers);
}

function toConnectResponse({ status, contentType, contentEncoding, fields, body }: Http1Response): ConnectResponse {
  return {
    status,
    contentType,
    contentEncoding,
    body,
    headers() {
      const headers = new Headers();
      for (let index = 0; index < fields.length; index += 2) {
        headers.append(fields[index] as string, fields[index + 1] as string);
      }
      return headers;
    },
  };
}

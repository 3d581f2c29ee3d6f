import type { DescMethodUnary, Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { appendHeaders, createContextValues } from "@connectrpc/connect";
import {
  errorFromJsonBytes,
  requestHeaderWithCompression,
  trailerDemux,
  transformConnectPostToGetRequest,
  validateResponseWithCompression,
} from "@connectrpc/connect/protocol-connect";
import type { ClientConfig } from "../client/config.js";
import { forEachCallerHeader, type OutgoingCall, userAgent } from "../client/outgoing-call.js";
import { UnaryAnswer } from "../client/unary-answer.js";
import { acceptedNames, compressions } from "../wire/compression.js";

/** A Connect unary request, ready to send over either HTTP version. */
export interface ConnectRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Headers, names and values in turn, without host and length. */
  readonly headers: string[];
  readonly body: Uint8Array | undefined;
}

/** A Connect unary response, as it came. */
export interface ConnectResponse {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly body: Uint8Array;
  headers(): Headers;
}

/** Encodes a call. */
export function toConnectRequest(
  config: ClientConfig,
  call: OutgoingCall,
  message: Message,
): ConnectRequest | Promise<ConnectRequest> {
  const body = call.client.input.serialize(message);
  const { sendCompression, compressMinBytes } = config;
  if (sendCompression === undefined || body.length < compressMinBytes) return toRequest(config, call, body, undefined);
  const compressed = sendCompression.compress(body);
  if (compressed instanceof Uint8Array) return toRequest(config, call, compressed, sendCompression.name);
  return compressed.then((bytes) => toRequest(config, call, bytes, sendCompression.name));
}

function toRequest(
  config: ClientConfig,
  call: OutgoingCall,
  body: Uint8Array,
  encoding: string | undefined,
): ConnectRequest {
  if (config.useHttpGet && call.method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS) {
    return toGetRequest(config, call, body, encoding);
  }
  const headers = [
    "content-type",
    config.json ? "application/json" : "application/proto",
    "connect-protocol-version",
    "1",
    "user-agent",
    call.header?.get("user-agent") ?? userAgent,
  ];
  if (config.acceptCompression) headers.push("accept-encoding", acceptedNames);
  if (encoding !== undefined) headers.push("content-encoding", encoding);
  if (call.timeoutMs !== undefined) headers.push("connect-timeout-ms", String(Math.ceil(call.timeoutMs)));
  forEachCallerHeader(call.header, (name, value) => headers.push(name, value));
  return { method: "POST", path: call.client.path, headers, body };
}

function toGetRequest(
  config: ClientConfig,
  call: OutgoingCall,
  body: Uint8Array,
  encoding: string | undefined,
): ConnectRequest {
  const { method, client, timeoutMs } = call;
  const header = requestHeaderWithCompression("unary", !config.json, timeoutMs, call.header, [], null, false);
  if (encoding !== undefined) header.set("content-encoding", encoding);
  const request = transformConnectPostToGetRequest(
    {
      stream: false,
      service: method.parent,
      method: method as DescMethodUnary,
      requestMethod: "POST",
      url: client.url,
      signal: neverAborted,
      header,
      contextValues: createContextValues(),
      message: {} as never,
    },
    body,
    !config.json,
  );
  const headers = ["user-agent", call.header?.get("user-agent") ?? userAgent];
  if (config.acceptCompression) headers.push("accept-encoding", acceptedNames);
  if (timeoutMs !== undefined) headers.push("connect-timeout-ms", String(Math.ceil(timeoutMs)));
  forEachCallerHeader(call.header, (name, value) => headers.push(name, value));
  return { method: "GET", path: request.url.slice(config.endpoint.baseUrl.length), headers, body: undefined };
}

const neverAborted = new AbortController().signal;

/** Reads an answer; throws the error that it is. */
export function fromConnectResponse(
  config: ClientConfig,
  call: OutgoingCall,
  response: ConnectResponse,
): UnaryAnswer | Promise<UnaryAnswer> {
  const expected = config.json ? "application/json" : "application/proto";
  if (response.status === 200 && response.contentType === expected && response.contentEncoding === undefined) {
    return toAnswer(call, response, response.body);
  }
  return fromUnusualResponse(config, call, response);
}

async function fromUnusualResponse(config: ClientConfig, call: OutgoingCall, response: ConnectResponse) {
  const headers = response.headers();
  const { isUnaryError, unaryError } = validateResponseWithCompression(
    "unary",
    compressions as never,
    !config.json,
    response.status,
    headers,
  );
  const compression = compressions.find(({ name }) => name === response.contentEncoding);
  const body = compression ? await compression.decompress(response.body, config.readMaxBytes) : response.body;
  if (isUnaryError) {
    const [header, trailer] = trailerDemux(headers);
    throw errorFromJsonBytes(body, appendHeaders(header, trailer), unaryError);
  }
  return toAnswer(call, response, body);
}

function toAnswer(call: OutgoingCall, response: ConnectResponse, body: Uint8Array): UnaryAnswer {
  const message = call.client.output.parse(body);
  return new UnaryAnswer(call.method as DescMethodUnary, message, () => trailerDemux(response.headers()));
}

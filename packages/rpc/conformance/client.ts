// The program that the conformance suite runs to test the client.
import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMethodStreaming, type DescMethodUnary, fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createTransport } from "@mecha/rpc";
import { fromConnectError, registry, toHeaderList } from "./convert.ts";
import { readMessages, writeMessage } from "./framing.ts";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
  type ClientResponseResult,
  ClientResponseResultSchema,
} from "./gen/connectrpc/conformance/v1/client_compat_pb.js";
import { Codec, Compression, HTTPVersion, Protocol, StreamType } from "./gen/connectrpc/conformance/v1/config_pb.js";
import {
  ConformancePayloadSchema,
  ConformanceService,
  HeaderSchema,
} from "./gen/connectrpc/conformance/v1/service_pb.js";

// Cases measure time: too many at once would make each other late.
const running = new Set<Promise<void>>();
for await (const request of readMessages(ClientCompatRequestSchema)) {
  const done: Promise<void> = run(request).finally(() => running.delete(done));
  running.add(done);
  if (running.size >= 8) await Promise.race(running);
}
await Promise.all(running);

async function run(request: ClientCompatRequest): Promise<void> {
  const { testName } = request;
  try {
    await using transport = connect(request);
    const value = await call(request, transport);
    writeMessage(ClientCompatResponseSchema, { testName, result: { case: "response", value } });
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    writeMessage(ClientCompatResponseSchema, { testName, result: { case: "error", value: { message } } });
  }
}

function connect(request: ClientCompatRequest) {
  const secure = request.serverTlsCert.length > 0;
  const compression =
    request.compression === Compression.GZIP ? "gzip" : request.compression === Compression.BR ? "br" : undefined;
  return createTransport({
    endpoint: `${secure ? "https" : "http"}://${request.host}:${request.port}`,
    protocol:
      request.protocol === Protocol.GRPC ? "grpc" : request.protocol === Protocol.GRPC_WEB ? "grpc-web" : "connect",
    httpVersion: request.httpVersion === HTTPVersion.HTTP_VERSION_1 ? "1.1" : "2",
    jsonOptions: { registry },
    acceptCompression: true,
    useJson: request.codec === Codec.JSON,
    useHttpGet: request.useGetHttpMethod,
    ...(compression && { compression, compressMinBytes: 0 }),
    ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }),
    ...(secure && {
      tls: {
        ca: request.serverTlsCert,
        ...(request.clientTlsCreds && { key: request.clientTlsCreds.key, cert: request.clientTlsCreds.cert }),
      },
    }),
  });
}

async function call(request: ClientCompatRequest, transport: Transport): Promise<ClientResponseResult> {
  const method = ConformanceService.methods.find((candidate) => candidate.name === request.method);
  if (method === undefined) throw new Error(`the service has no method ${request.method}`);
  const headers = new Headers();
  for (const { name, value } of request.requestHeaders) for (const item of value) headers.append(name, item);
  const messages = request.requestMessages.map((any) => fromBinary(method.input, any.value));
  const abort = new AbortController();
  const result = create(ClientResponseResultSchema);
  let unsent = messages.length;
  const fullDuplex = request.streamType === StreamType.FULL_DUPLEX_BIDI_STREAM;
  let answered = () => {};
  const cancelAfterSend = () => {
    const timing = request.cancel?.cancelTiming;
    if (timing?.case === "beforeCloseSend") abort.abort();
    else if (timing?.case === "afterCloseSendMs") void sleep(timing.value).then(() => abort.abort());
    return timing?.case === "beforeCloseSend";
  };
  async function* send() {
    for (const message of messages) {
      await sleep(request.requestDelayMs);
      unsent--;
      const answer = new Promise<void>((resolve) => {
        answered = resolve;
      });
      yield message;
      if (fullDuplex) await answer;
    }
    // A send side that is not to be closed waits for the cancellation.
    if (cancelAfterSend()) await sleep(5000);
  }
  const took = (message: unknown) => {
    const { payload } = message as { payload?: ClientResponseResult["payloads"][number] };
    result.payloads.push(payload ?? create(ConformancePayloadSchema));
    answered();
    const timing = request.cancel?.cancelTiming;
    if (timing?.case === "afterNumResponses" && result.payloads.length >= timing.value) abort.abort();
  };
  try {
    if (method.methodKind === "unary") {
      const [message] = messages;
      if (message === undefined) throw new Error("a unary call needs one message");
      await sleep(request.requestDelayMs);
      unsent = 0;
      const answer = transport.unary(method as DescMethodUnary, abort.signal, request.timeoutMs, headers, message);
      cancelAfterSend();
      const { header, trailer, message: output } = await answer;
      result.responseHeaders = toHeaderList(header);
      result.responseTrailers = toHeaderList(trailer);
      took(output);
      return result;
    }
    const response = await transport.stream(
      method as DescMethodStreaming,
      abort.signal,
      request.timeoutMs,
      headers,
      send(),
    );
    result.responseHeaders = toHeaderList(response.header);
    try {
      for await (const message of response.message) took(message);
      if (method.methodKind === "client_streaming" && result.payloads.length !== 1) {
        const count = result.payloads.splice(0).length;
        throw new ConnectError(`a client stream got ${count} answers`, Code.Unimplemented);
      }
    } finally {
      answered();
      result.responseTrailers = toHeaderList(response.trailer);
    }
  } catch (reason) {
    const error = ConnectError.from(reason);
    result.error = fromConnectError(error);
    if (result.responseHeaders.length === 0 && method.methodKind === "unary") {
      result.responseHeaders = toHeaderList(error.metadata);
    }
    if (result.responseTrailers.length === 0) {
      result.responseTrailers = toHeaderList(error.metadata).map((header) => create(HeaderSchema, header));
    }
  }
  result.numUnsentRequests = unsent;
  return result;
}

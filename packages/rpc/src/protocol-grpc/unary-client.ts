import type { IncomingHttpHeaders } from "node:http2";
import type { DescMethodUnary, Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { validateResponseWithCompression, validateTrailer } from "@connectrpc/connect/protocol-grpc";
import { toAbortError } from "../call/end.js";
import type { ClientConfig } from "../client/config.js";
import { fromHttp2Headers, openHttp2 } from "../client/http2-exchange.js";
import type { Http2Sessions } from "../client/http2-sessions.js";
import type { OutgoingCall } from "../client/outgoing-call.js";
import { encode } from "../client/stream-call.js";
import { UnaryAnswer } from "../client/unary-answer.js";
import { type Compression, compressions, find } from "../wire/compression.js";
import { encodeEnvelope } from "../wire/envelope.js";
import { MessageReader } from "../wire/message-reader.js";
import { toGrpcHeaders } from "./client-dialect.js";

/** Makes a gRPC unary call. */
export async function callGrpcUnary(
  config: ClientConfig,
  sessions: Http2Sessions,
  call: OutgoingCall,
  message: Message,
): Promise<UnaryAnswer> {
  if (call.signal?.aborted) throw toAbortError(call.signal.reason);
  const made = encode(config, call, message);
  const { flags, data } = made instanceof Promise ? await made : made;
  const answer = new GrpcUnaryAnswer(config, call);
  return new Promise((resolve, reject) => {
    answer.settle = (error, result) => (result ? resolve(result) : reject(error));
    openHttp2(sessions, call, toGrpcHeaders(config, call), {
      open: (stream) => void stream.end(encodeEnvelope(flags, data)),
      response: (head) => answer.start(head),
      data: (chunk) => answer.read(chunk),
      end: (trailers) => answer.end(trailers),
      fail: reject,
    });
  });
}

/** Gathers one message and its status. */
class GrpcUnaryAnswer {
  readonly #config: ClientConfig;
  readonly #call: OutgoingCall;
  #head: IncomingHttpHeaders = {};
  #trailers: IncomingHttpHeaders = {};
  #reader: MessageReader | undefined;
  #headError: ConnectError | undefined;
  #message: Message | undefined;
  #extra: boolean = false;
  settle: (error: unknown, answer: UnaryAnswer | undefined) => void = () => {};

  constructor(config: ClientConfig, call: OutgoingCall) {
    this.#config = config;
    this.#call = call;
  }

  start(head: IncomingHttpHeaders): void {
    this.#head = head;
    let compression: Compression | undefined;
    const type = head["content-type"];
    const usual =
      Number(head[":status"]) === 200 &&
      (type === "application/grpc+proto" || type === "application/grpc") &&
      head["grpc-encoding"] === undefined &&
      head["grpc-status"] === undefined;
    if (!usual) {
      try {
        const checked = validateResponseWithCompression(
          compressions as never,
          Number(head[":status"]),
          fromHttp2Headers(head),
        );
        compression = checked.compression && find(checked.compression.name);
        this.#headError = checked.headerError;
      } catch (error) {
        this.settle(error, undefined);
        return;
      }
    }
    this.#reader = new MessageReader(this.#call.client.output, compression, this.#config.readMaxBytes, {
      push: (message) => {
        if (this.#message !== undefined) this.#extra = true;
        this.#message = message;
      },
      end: () => this.#finish(),
      fail: (error) => this.settle(error, undefined),
    });
  }

  read(chunk: Uint8Array): void {
    this.#reader?.read(chunk);
  }

  end(trailers: IncomingHttpHeaders): void {
    this.#trailers = trailers;
    this.#reader?.end();
  }

  #finish(): void {
    try {
      this.settle(undefined, this.#toAnswer());
    } catch (error) {
      this.settle(error, undefined);
    }
  }

  #toAnswer(): UnaryAnswer {
    const trailers = this.#trailers;
    const head = this.#head;
    if (this.#extra) {
      throw new ConnectError("protocol error: received extra output message for unary method", Code.Unimplemented);
    }
    const good = trailers["grpc-status"] === "0" && trailers["grpc-status-details-bin"] === undefined;
    if (!good) validateTrailer(fromHttp2Headers(trailers), fromHttp2Headers(head));
    if (this.#message === undefined) {
      if (this.#headError) throw this.#headError;
      const code = trailers["grpc-status"] === undefined ? Code.Unknown : Code.Unimplemented;
      throw new ConnectError("protocol error: missing output message for unary method", code);
    }
    if (this.#headError) {
      const message = "protocol error: received output message for unary method with error status";
      throw new ConnectError(message, Code.Unknown);
    }
    return new UnaryAnswer(this.#call.method as DescMethodUnary, this.#message, () => [
      fromHttp2Headers(head),
      fromHttp2Headers(trailers),
    ]);
  }
}

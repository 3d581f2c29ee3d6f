import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { parseTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { CallContext } from "../call/context.js";
import { invokeStream, invokeUnary, isPromise } from "../call/invoke.js";
import { MessageQueue } from "../call/message-queue.js";
import { type Http2Exchange, toHttp2Headers } from "../server/http2-exchange.js";
import { type ServedRoute, type Service, toSentError } from "../server/service.js";
import type { Codec } from "../wire/codec.js";
import { type Negotiated, negotiate } from "../wire/compression.js";
import { compressedFlag, type Envelope, encodeEnvelope } from "../wire/envelope.js";
import { EnvelopeWriter } from "../wire/envelope-writer.js";
import { MessageReader } from "../wire/message-reader.js";
import { toGoneError } from "../wire/reset-error.js";

/** So many decoded messages wait for a handler before the client is made to wait. */
const readAhead = 64;

/** The content type of an answer, or undefined when this is no gRPC request. */
export function matchGrpc(exchange: Http2Exchange): "application/grpc+proto" | "application/grpc+json" | undefined {
  if (exchange.method !== "POST") return undefined;
  const type = exchange.header("content-type");
  if (type === "application/grpc" || type === "application/grpc+proto") return "application/grpc+proto";
  if (type === undefined) return undefined;
  const match = /^application\/grpc(?:\+(?:(json)(?:; ?charset=utf-?8)?|proto))?$/i.exec(type);
  if (match === null) return undefined;
  return match[1] === undefined ? "application/grpc+proto" : "application/grpc+json";
}

/** Serves one gRPC call over HTTP/2. */
export class GrpcCall {
  readonly #service: Service;
  readonly #route: ServedRoute;
  readonly #exchange: Http2Exchange;
  readonly #stream: ServerHttp2Stream;
  readonly #type: "application/grpc+proto" | "application/grpc+json";
  readonly #output: Codec;
  readonly #compression: Negotiated;
  readonly #context: CallContext;
  readonly #early: ConnectError | undefined;
  #trailers: Record<string, string | string[] | number> = { "grpc-status": "0" };
  #done: boolean = false;

  constructor(
    service: Service,
    route: ServedRoute,
    exchange: Http2Exchange,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    type: "application/grpc+proto" | "application/grpc+json",
  ) {
    this.#service = service;
    this.#route = route;
    this.#exchange = exchange;
    this.#stream = stream;
    this.#type = type;
    this.#output = type === "application/grpc+json" ? route.output.json : route.output.binary;
    const timeoutHeader = headers["grpc-timeout"];
    const timeout =
      timeoutHeader === undefined ? undefined : parseTimeout(String(timeoutHeader), service.limits.maxTimeoutMs);
    this.#compression = negotiate(
      headers["grpc-encoding"] as string | undefined,
      headers["grpc-accept-encoding"] as string | undefined,
      "Grpc-Accept-Encoding",
    );
    this.#early = this.#compression.error ?? timeout?.error;
    this.#context = new CallContext(
      route.method,
      {
        requestMethod: "POST",
        protocolName: "grpc",
        url: () => exchange.absoluteUrl(),
        headers: () => exchange.headers(),
        contextValues: () => service.contextValues?.(exchange),
      },
      timeout?.timeoutMs,
      (context) => {
        service.signalled.add(context);
        exchange.onGone((reason) => context.abort(reason));
      },
    );
  }

  start(): void {
    if (this.#early) this.#end(this.#early);
    else if (this.#route.method.methodKind === "unary") this.#startUnary();
    else this.#startStream();
  }

  /** One message in, one out: no queue, no iterator, and no turn of the event loop more than the handler takes. */
  #startUnary(): void {
    const { input, spec } = this.#route;
    const { readMaxBytes } = this.#service.limits;
    const codec = this.#type === "application/grpc+json" ? input.json : input.binary;
    let message: Message | undefined;
    let extra = false;
    const sink = {
      push: (received: Message) => {
        if (message !== undefined) extra = true;
        message = received;
      },
      end: () => {
        if (message === undefined || extra) {
          const problem = extra ? "received extra" : "missing";
          this.#end(new ConnectError(`protocol error: ${problem} input message for unary method`, Code.Unimplemented));
          return;
        }
        try {
          const result = invokeUnary(spec, this.#context, message, this.#service.interceptors);
          if (isPromise(result)) (result as Promise<Message>).then(this.#answerUnary, this.#fail);
          else this.#answerUnary(result as Message);
        } catch (error) {
          this.#fail(error);
        }
      },
      fail: this.#fail,
    };
    const reader = new MessageReader(codec, this.#compression.request, readMaxBytes, sink);
    const stream = this.#stream;
    stream.on("data", (chunk: Uint8Array) => reader.read(chunk));
    stream.on("end", () => {
      if (!stream.aborted) reader.end();
    });
    this.#exchange.watchBody(() =>
      this.#end(new ConnectError("the message took too long to arrive", Code.DeadlineExceeded)),
    );
  }

  readonly #answerUnary = (message: Message): void => {
    try {
      const envelope = this.#encode(message);
      if (isPromise(envelope)) {
        (envelope as Promise<Envelope>).then((compressed) => this.#sendUnary(compressed), this.#fail);
      } else this.#sendUnary(envelope as Envelope);
    } catch (error) {
      this.#fail(error);
    }
  };

  #sendUnary({ flags, data }: Envelope): void {
    const stream = this.#stream;
    if (!this.#done && !stream.destroyed && !stream.closed) this.#respond();
    this.#end(undefined, encodeEnvelope(flags, data));
  }

  #startStream(): void {
    const stream = this.#stream;
    const { input, spec } = this.#route;
    const codec = this.#type === "application/grpc+json" ? input.json : input.binary;
    const queue = new MessageQueue<Message>(() => {
      if (stream.isPaused()) stream.resume();
    });
    const reader = new MessageReader(codec, this.#compression.request, this.#service.limits.readMaxBytes, queue);
    stream.on("data", (chunk: Uint8Array) => {
      reader.read(chunk);
      if (queue.size >= readAhead) stream.pause();
    });
    stream.on("end", () => {
      if (!stream.aborted) reader.end();
    });
    // The handler learns from its messages, and from its signal, that nobody is there any more.
    stream.once("close", () => {
      if (!queue.ended) queue.fail(toGoneError(stream.rstCode));
    });
    void this.#produce(invokeStream(spec, this.#context, queue, this.#service.interceptors));
  }

  /** Sends what a handler yields. Its headers go with its first message, so that it can set them until then. */
  async #produce(messages: AsyncIterator<Message>): Promise<void> {
    const stream = this.#stream;
    const writer = new EnvelopeWriter(stream);
    try {
      for (;;) {
        const result = await messages.next();
        if (result.done === true) break;
        const encoded = this.#encode(result.value);
        const envelope = isPromise(encoded) ? await encoded : encoded;
        if (stream.destroyed || stream.closed) {
          this.#context.abort(toGoneError(stream.rstCode));
          await messages.return?.();
          break;
        }
        if (!stream.headersSent) this.#respond();
        if (writer.write(envelope)) {
          writer.flush();
          await this.#exchange.watchDrain(writer.drained());
        }
      }
      writer.flush();
      this.#end(undefined);
    } catch (error) {
      writer.flush();
      this.#fail(error);
    }
  }

  #encode(message: Message): Envelope | Promise<Envelope> {
    const data = this.#output.serialize(message);
    const { response } = this.#compression;
    if (response === undefined || data.length < this.#service.compressMinBytes) return { flags: 0, data };
    const compressed = response.compress(data);
    if (isPromise(compressed)) {
      return (compressed as Promise<Uint8Array>).then((bytes) => ({ flags: compressedFlag, data: bytes }));
    }
    return { flags: compressedFlag, data: compressed as Uint8Array };
  }

  #respond(): void {
    const stream = this.#stream;
    const list = ["content-type", this.#type as string];
    const { response } = this.#compression;
    if (response) list.push("grpc-encoding", response.name);
    this.#context.setHeader?.forEach((value, name) => {
      list.push(name, value);
    });
    stream.respond(toHttp2Headers(200, list), { waitForTrailers: true });
    stream.once("wantTrailers", () => {
      stream.sendTrailers(this.#trailers);
      this.#exchange.dropRest();
    });
  }

  /** Whatever was thrown, even nothing at all, is a failure. */
  readonly #fail = (reason: unknown): void => {
    this.#end(reason ?? new Error("undefined was thrown"));
  };

  /** Ends the call, well or with an error; what a handler throws by accident stays inside. */
  readonly #end = (reason: unknown, last?: Uint8Array): void => {
    if (this.#done) return;
    this.#done = true;
    this.#context.abort(reason);
    this.#service.signalled.delete(this.#context);
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    const { setTrailer } = this.#context;
    if (reason !== undefined || setTrailer !== undefined) {
      const trailer = new Headers(setTrailer);
      trailer.set("grpc-status", "0");
      if (reason !== undefined) setTrailerStatus(trailer, toSentError(reason, this.#service));
      this.#trailers = toTrailers(trailer);
    }
    if (!stream.headersSent) this.#respond();
    if (last === undefined) stream.end();
    else stream.end(last);
    this.#exchange.watchUnread();
  };
}

function toTrailers(trailer: Headers): Record<string, string | string[] | number> {
  const list: string[] = [];
  trailer.forEach((value, name) => {
    list.push(name, value);
  });
  const { ":status": _, ...trailers } = toHttp2Headers(0, list);
  return trailers;
}

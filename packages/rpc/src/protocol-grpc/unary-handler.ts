import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { invokeUnary, isPromise } from "../call/invoke.js";
import type { GrpcExchange } from "../server/exchange.js";
import type { ServedRoute, Service } from "../server/service.js";
import { type Envelope, encodeEnvelope } from "../wire/envelope.js";
import { MessageReader, type MessageSink } from "../wire/message-reader.js";
import { GrpcCallBase, type GrpcType } from "./call.js";

/** Serves a unary gRPC call: no queue, no iterator, and no turn of the event loop more than the handler takes. */
export class GrpcUnaryCall implements MessageSink {
  readonly #route: ServedRoute;
  readonly #exchange: GrpcExchange;
  readonly #call: GrpcCallBase;
  #message: Message | undefined;
  #extra: boolean = false;
  #done: boolean = false;

  constructor(service: Service, route: ServedRoute, exchange: GrpcExchange, type: GrpcType) {
    this.#route = route;
    this.#exchange = exchange;
    this.#call = new GrpcCallBase(service, route, exchange, type);
  }

  start(): void {
    const { early, input, compression, service } = this.#call;
    if (early) {
      this.#end(early);
      return;
    }
    const reader = new MessageReader(input, compression.request, service.limits.readMaxBytes, this);
    this.#exchange.readChunks(
      (chunk) => reader.read(chunk),
      () => reader.end(),
      () => this.#end(new ConnectError("the message took too long to arrive", Code.DeadlineExceeded)),
    );
  }

  push(message: Message): void {
    if (this.#message !== undefined) this.#extra = true;
    this.#message = message;
  }

  end(): void {
    if (this.#message === undefined || this.#extra) {
      const problem = this.#extra ? "received extra" : "missing";
      this.#end(new ConnectError(`protocol error: ${problem} input message for unary method`, Code.Unimplemented));
      return;
    }
    const { context, service } = this.#call;
    try {
      const result = invokeUnary(this.#route.spec, context, this.#message, service.interceptors);
      if (isPromise(result)) (result as Promise<Message>).then(this.#answer, this.fail);
      else this.#answer(result as Message);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Whatever was thrown, even nothing at all, is a failure. */
  readonly fail = (reason: unknown): void => {
    this.#end(reason ?? new Error("undefined was thrown"));
  };

  readonly #answer = (message: Message): void => {
    try {
      const envelope = this.#call.encode(message);
      if (isPromise(envelope)) (envelope as Promise<Envelope>).then(this.#send, this.fail);
      else this.#send(envelope as Envelope);
    } catch (error) {
      this.fail(error);
    }
  };

  readonly #send = ({ flags, data }: Envelope): void => {
    this.#end(undefined, encodeEnvelope(flags, data));
  };

  #end(reason: unknown, body?: Uint8Array): void {
    if (this.#done) return;
    this.#done = true;
    const trailers = this.#call.end(reason);
    this.#exchange.respondWithTrailers(this.#call.headers(), body, trailers);
  }
}

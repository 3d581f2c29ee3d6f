import type { Message } from "@bufbuild/protobuf";
import { invokeStream, isPromise } from "../call/invoke.js";
import { MessageQueue } from "../call/message-queue.js";
import type { StreamExchange } from "../server/exchange.js";
import type { ServedRoute, Service } from "../server/service.js";
import { EnvelopeWriter } from "../wire/envelope-writer.js";
import { MessageReader } from "../wire/message-reader.js";
import { GrpcCallBase, type GrpcType } from "./call.js";

/** So many decoded messages wait for a handler before the client is made to wait. */
const readAhead = 64;

/** Serves a gRPC call with a stream of messages on either side, over HTTP/2. */
export class GrpcStreamCall {
  readonly #route: ServedRoute;
  readonly #exchange: StreamExchange;
  readonly #call: GrpcCallBase;
  #begun: boolean = false;
  #done: boolean = false;

  constructor(service: Service, route: ServedRoute, exchange: StreamExchange, type: GrpcType) {
    this.#route = route;
    this.#exchange = exchange;
    this.#call = new GrpcCallBase(service, route, exchange, type);
  }

  start(): void {
    const { early, context, input, compression, service } = this.#call;
    if (early) {
      this.#end(early);
      return;
    }
    const exchange = this.#exchange;
    const queue = new MessageQueue<Message>(() => exchange.resume());
    const reader = new MessageReader(input, compression.request, service.limits.readMaxBytes, queue);
    exchange.readStream({
      read(chunk) {
        reader.read(chunk);
        if (queue.size >= readAhead) exchange.pause();
      },
      end: () => reader.end(),
      // The handler learns from its messages, and from its signal, that nobody is there any more.
      gone(reason) {
        if (!queue.ended) queue.fail(reason);
      },
    });
    void this.#produce(invokeStream(this.#route.spec, context, queue, service.interceptors));
  }

  /** Sends what a handler yields. Its headers go with its first message, so that it can set them until then. */
  async #produce(messages: AsyncIterator<Message>): Promise<void> {
    const exchange = this.#exchange;
    const writer = new EnvelopeWriter(exchange);
    try {
      for (;;) {
        const result = await messages.next();
        if (result.done === true) break;
        const encoded = this.#call.encode(result.value);
        const envelope = isPromise(encoded) ? await encoded : encoded;
        const { goneReason } = exchange;
        if (goneReason) {
          this.#call.context.abort(goneReason);
          await messages.return?.();
          break;
        }
        this.#begin();
        if (writer.write(envelope)) {
          writer.flush();
          await writer.drained();
        }
      }
      writer.flush();
      this.#end(undefined);
    } catch (error) {
      writer.flush();
      // Whatever was thrown, even nothing at all, is a failure.
      this.#end(error ?? new Error("undefined was thrown"));
    }
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#exchange.begin(this.#call.headers());
  }

  #end(reason: unknown): void {
    if (this.#done) return;
    this.#done = true;
    const trailers = this.#call.end(reason);
    if (this.#exchange.goneReason) return;
    this.#begin();
    this.#exchange.finish(trailers);
  }
}

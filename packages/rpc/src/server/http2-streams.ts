import { constants } from "node:http2";
import type { Duplex } from "node:stream";
import {
  defaultWindow,
  encodeNumberFrame,
  type Frame,
  FrameType,
  Http2Error,
  maxWindow,
} from "../wire/http2-frames.js";
import type { ExchangeEnvironment } from "./exchange.js";
import { type DirectHttp2Connection, Http2DirectExchange, type Http2Response } from "./http2-direct-exchange.js";
import { type ClientSettings, Http2Inner, type OuterConnection } from "./http2-inner.js";
import { flowControlError, protocolError, type ReceivedHeaders } from "./http2-input.js";
import type { Http2Output } from "./http2-output.js";
import type { Limits } from "./limits.js";
import { Patience } from "./patience.js";
import { ReceiveWindow } from "./receive-window.js";
import { StreamTable } from "./stream-table.js";

/** How the streams of connections are served. */
export interface StreamServing {
  readonly environment: ExchangeEnvironment;
  readonly limits: Limits;
  /** Serves a request, or says that it is not for here before anything has happened to it. */
  serve(exchange: Http2DirectExchange): boolean;
  /** Gives `node:http2` a connection that carries what is not for here. */
  inject(connection: Duplex, remoteAddress: string | undefined): void;
}

/** What streams need of their connection. */
export interface StreamHost {
  readonly remoteAddress: string | undefined;
  /** Whether no new requests are taken. */
  readonly draining: boolean;
  /** Ends the connection. */
  end(code: number): void;
  /** A stream has closed. */
  closed(): void;
}

/** How much a client may send in all before it is given more. */
export const connectionWindow = 8 * 1024 * 1024;

/** The streams of a connection: calls that are served here, and others, which `node:http2` serves. */
export class Http2Streams implements DirectHttp2Connection, OuterConnection {
  readonly output: Http2Output;
  readonly client: ClientSettings = { initialWindow: defaultWindow, maxHeaderListBytes: undefined };
  readonly #serving: StreamServing;
  readonly #host: StreamHost;
  readonly #exchanges = new StreamTable<Http2DirectExchange>();
  #inner: Http2Inner | undefined;
  /** The last stream that the client has opened. */
  last = 0;
  readonly #window = new ReceiveWindow(connectionWindow);
  /** With a client that makes this side work for nothing. */
  readonly #patience: Patience;

  constructor(output: Http2Output, serving: StreamServing, host: StreamHost) {
    this.output = output;
    this.#serving = serving;
    this.#host = host;
    this.#patience = new Patience(serving.limits.maxResetsPerSecond);
  }

  get environment(): ExchangeEnvironment {
    return this.#serving.environment;
  }

  get remoteAddress(): string | undefined {
    return this.#host.remoteAddress;
  }

  /** How many are open. */
  get size(): number {
    return this.#exchanges.size + (this.#inner?.size ?? 0);
  }

  headers(received: ReceivedHeaders): void {
    const { stream, endStream, list, tooLarge } = received;
    const exchange = this.#exchanges.get(stream);
    if (exchange !== undefined) this.#onTrailers(exchange, endStream);
    else if (this.#inner?.has(stream)) {
      if (tooLarge) throw new Http2Error(constants.NGHTTP2_ENHANCE_YOUR_CALM, "trailers are too large");
      this.#inner.headers(stream, list, endStream);
    }
    // A stream that is closed here may have been open when the client wrote.
    else if (stream > this.last) this.#open(received);
  }

  data(frame: Frame, content: Buffer, endStream: boolean): void {
    const size = frame.payload.length;
    if (!this.#window.take(size)) throw flowControlError();
    if (content.length === 0 && !endStream) this.#charge();
    const exchange = this.#exchanges.get(frame.stream);
    if (exchange === undefined && this.#inner?.has(frame.stream)) {
      this.#inner.frame(frame);
      return;
    }
    this.#giveBack(this.#window.consume(size));
    if (exchange === undefined) this.#requireKnown(frame.stream);
    else this.#receive(exchange, size, content, endStream);
  }

  reset(frame: Frame, code: number): void {
    this.#requireKnown(frame.stream);
    this.#charge();
    const exchange = this.#exchanges.get(frame.stream);
    if (exchange !== undefined) this.#close(exchange, code);
    else if (this.#inner?.has(frame.stream)) this.#inner.frame(frame);
  }

  windowUpdate(frame: Frame, increment: number): void {
    const { stream } = frame;
    const exchange = this.#exchanges.get(stream);
    if (stream === 0) {
      if (increment === 0) throw protocolError("a window is opened by nothing");
      this.output.window += increment;
      if (this.output.window > maxWindow) throw flowControlError();
    } else if (exchange !== undefined) {
      exchange.sendWindow += increment;
      if (increment === 0) this.#refuse(exchange, constants.NGHTTP2_PROTOCOL_ERROR);
      else if (exchange.sendWindow > maxWindow) this.#refuse(exchange, constants.NGHTTP2_FLOW_CONTROL_ERROR);
    } else if (this.#inner?.has(stream)) this.#inner.frame(frame);
    else this.#requireKnown(stream);
    this.goOn();
  }

  /** The client gives each stream more or less to send. */
  setInitialWindow(bytes: number): void {
    if (bytes > maxWindow) throw flowControlError();
    const more = bytes - this.client.initialWindow;
    this.client.initialWindow = bytes;
    for (const exchange of this.#exchanges.values()) {
      exchange.sendWindow += more;
      if (exchange.sendWindow > maxWindow) throw flowControlError();
    }
    this.#inner?.initialWindow(bytes);
    this.output.pump();
  }

  /** The client's window or socket takes more. */
  goOn(): void {
    this.output.pump();
    this.#inner?.goOn();
  }

  send(exchange: Http2DirectExchange, response: Http2Response): void {
    this.output.send(exchange, response);
  }

  begin(exchange: Http2DirectExchange, headers: readonly string[]): void {
    this.output.begin(exchange, headers);
  }

  write(exchange: Http2DirectExchange, bytes: Uint8Array): boolean {
    return this.output.write(exchange, bytes);
  }

  finish(exchange: Http2DirectExchange, trailers: readonly string[]): void {
    this.output.finish(exchange, trailers);
  }

  consumed(exchange: Http2DirectExchange, bytes: number): void {
    const given = exchange.receiveWindow.consume(bytes);
    if (given > 0 && !exchange.remoteEnded && this.#exchanges.get(exchange.id) !== undefined) {
      this.output.push(encodeNumberFrame(FrameType.windowUpdate, exchange.id, given));
    }
  }

  /** The response is on its way as a whole. What is left of the request is of no use, which a reset without an error tells. */
  sent(exchange: Http2DirectExchange): void {
    if (exchange.remoteEnded) this.#close(exchange, undefined);
    else setImmediate(() => this.resetStream(exchange, constants.NGHTTP2_NO_ERROR));
  }

  resetStream(exchange: Http2DirectExchange, code: number): void {
    if (this.#exchanges.get(exchange.id) === undefined) return;
    this.output.push(encodeNumberFrame(FrameType.rstStream, exchange.id, code));
    this.#close(exchange, code);
  }

  credit(bytes: number): void {
    // The session has waited already until it was worth a frame; to wait twice could be for ever.
    this.#giveBack(this.#window.consume(bytes, true));
  }

  passedStreamClosed(): void {
    this.#host.closed();
  }

  innerClosed(): void {
    const cut = (this.#inner?.size ?? 0) > 0;
    this.#inner = undefined;
    if (cut) this.end(constants.NGHTTP2_INTERNAL_ERROR);
  }

  end(code: number): void {
    this.#host.end(code);
  }

  /** The connection is gone. */
  destroy(): void {
    for (const exchange of this.#exchanges.values()) this.#close(exchange, undefined);
    this.#inner?.destroy();
  }

  #giveBack(bytes: number): void {
    if (bytes > 0) this.output.push(encodeNumberFrame(FrameType.windowUpdate, 0, bytes));
  }

  #open(received: ReceivedHeaders): void {
    const { stream, endStream, list, head, tooLarge } = received;
    const { limits, serve } = this.#serving;
    if (stream % 2 === 0) throw protocolError("a client's stream has an even number");
    this.last = stream;
    if (tooLarge || this.#host.draining || this.size >= limits.maxStreamsPerConnection) {
      this.#charge();
      const code = tooLarge ? constants.NGHTTP2_ENHANCE_YOUR_CALM : constants.NGHTTP2_REFUSED_STREAM;
      this.output.push(encodeNumberFrame(FrameType.rstStream, stream, code));
      return;
    }
    if (head) {
      const exchange = new Http2DirectExchange(this, stream, head, this.client.initialWindow);
      this.#exchanges.add(exchange);
      if (serve(exchange)) {
        if (endStream) this.#endRequest(exchange);
        return;
      }
      this.#exchanges.delete(stream);
    }
    this.#inner ??= new Http2Inner(this, this.client, (connection) =>
      this.#serving.inject(connection, this.remoteAddress),
    );
    this.#inner.headers(stream, list, endStream);
  }

  #receive(exchange: Http2DirectExchange, size: number, content: Buffer, endStream: boolean): void {
    if (!exchange.receiveWindow.take(size)) this.#refuse(exchange, constants.NGHTTP2_FLOW_CONTROL_ERROR);
    else if (exchange.remoteEnded) this.#refuse(exchange, constants.NGHTTP2_STREAM_CLOSED);
    else {
      exchange.receive(content, size);
      if (endStream) this.#endRequest(exchange);
    }
  }

  /** Trailers of a request mean nothing here, but its end. */
  #onTrailers(exchange: Http2DirectExchange, endStream: boolean): void {
    if (!endStream || exchange.remoteEnded) this.#refuse(exchange, constants.NGHTTP2_PROTOCOL_ERROR);
    else this.#endRequest(exchange);
  }

  #endRequest(exchange: Http2DirectExchange): void {
    if (!exchange.receiveEnd()) this.#refuse(exchange, constants.NGHTTP2_PROTOCOL_ERROR);
    else if (exchange.answered && !this.output.waits(exchange)) this.#close(exchange, undefined);
  }

  /** Ends the stream of a client that breaks the protocol. */
  #refuse(exchange: Http2DirectExchange, code: number): void {
    this.#charge();
    this.resetStream(exchange, code);
  }

  #close(exchange: Http2DirectExchange, code: number | undefined): void {
    if (!this.#exchanges.delete(exchange.id)) return;
    this.output.forget(exchange);
    exchange.close(code);
    this.#host.closed();
  }

  #charge(): void {
    if (!this.#patience.spend()) throw new Http2Error(constants.NGHTTP2_ENHANCE_YOUR_CALM, "too much for nothing");
  }

  #requireKnown(stream: number): void {
    if (stream > this.last || stream % 2 === 0) throw protocolError("a frame names a stream that never was");
  }
}

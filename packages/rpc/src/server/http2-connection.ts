import { constants } from "node:http2";
import type { Socket } from "node:net";
import { CompressionError } from "../wire/hpack-decoder.js";
import {
  ackFlag,
  defaultWindow,
  encodeFrame,
  encodeNumberFrame,
  encodeSettings,
  type Frame,
  FrameType,
  Http2Error,
} from "../wire/http2-frames.js";
import { streamWindow } from "./http2-direct-exchange.js";
import { Http2Input, type Http2InputHandler, protocolError, type ReceivedHeaders } from "./http2-input.js";
import { Http2Output } from "./http2-output.js";
import { connectionWindow, Http2Streams, type StreamHost, type StreamServing } from "./http2-streams.js";
import type { Watched } from "./watch.js";

/** How connections are served. */
export interface Http2Serving extends StreamServing {
  /** Told when a connection has ended. */
  left(connection: Http2Connection): void;
}

/** How long a client may take to close a connection that has ended. */
const lingerMs = 1000;

/**
 * An HTTP/2 connection whose unary calls and gRPC streams are served without `node:http2`, at a fraction of what its streams take. All other requests are passed on to a
 * session of `node:http2` that is made for them, frame by frame.
 */
export class Http2Connection implements Http2InputHandler, StreamHost, Watched {
  readonly #socket: Socket;
  readonly #serving: Http2Serving;
  readonly #input: Http2Input;
  readonly #output: Http2Output;
  readonly #streams: Http2Streams;
  watchedUntil = 0;
  bagPlace = -1;
  draining: boolean = false;
  #over: boolean = false;

  constructor(socket: Socket, serving: Http2Serving) {
    const { limits, environment } = serving;
    this.#socket = socket;
    this.#serving = serving;
    this.#input = new Http2Input(this, limits.maxHeaderBytes);
    this.#output = new Http2Output(socket, {
      sent: (exchange) => this.#streams.sent(exchange),
      stuck: () => environment.watch.add(this, environment.writeTimeoutMs),
    });
    this.#streams = new Http2Streams(this.#output, serving, this);
    socket.on("data", (chunk: Buffer) => this.read(chunk));
    // In a turn of its own: to a client that reads fast a handler could go on for ever, and nothing else were read.
    socket.on("drain", () => setImmediate(() => this.#onDrain()));
    // Whatever ends a connection is told by "close".
    socket.on("error", () => {});
    socket.on("close", () => this.#onClose());
    const { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE } = constants;
    this.#output.push(
      encodeSettings([
        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
        limits.maxStreamsPerConnection,
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
        streamWindow,
        constants.NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
        limits.maxHeaderBytes,
      ]),
    );
    this.#output.push(encodeNumberFrame(FrameType.windowUpdate, 0, connectionWindow - defaultWindow));
    environment.watch.add(this, limits.headersTimeoutMs);
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  read(chunk: Buffer): void {
    if (this.#over) return;
    try {
      this.#input.read(chunk);
    } catch (error) {
      if (error instanceof Http2Error) this.end(error.code);
      else if (error instanceof CompressionError) this.end(constants.NGHTTP2_COMPRESSION_ERROR);
      else throw error;
    }
    this.#output.flush();
    // A client that does not read is not read either.
    if (this.#output.full) this.#socket.pause();
  }

  /** Says that no more requests are taken, and ends the connection with the last answer. */
  drain(): void {
    if (this.#over || this.draining) return;
    this.draining = true;
    this.#goAway(constants.NGHTTP2_NO_ERROR);
    this.closed();
  }

  end(code: number): void {
    if (this.#over) return;
    this.#goAway(code);
    this.#leave();
  }

  closed(): void {
    if (this.draining && this.#streams.size === 0) this.#leave();
  }

  /** What was written is not read, or what was begun is not gone on with. */
  expire(): void {
    const { environment, limits } = this.#serving;
    if (this.#over || this.#socket.writableLength > 0 || this.#input.stalled()) this.#socket.destroy();
    else environment.watch.add(this, limits.headersTimeoutMs);
  }

  headers(received: ReceivedHeaders): void {
    this.#streams.headers(received);
  }

  data(frame: Frame, content: Buffer, endStream: boolean): void {
    this.#streams.data(frame, content, endStream);
  }

  reset(frame: Frame, code: number): void {
    this.#streams.reset(frame, code);
  }

  windowUpdate(frame: Frame, increment: number): void {
    this.#streams.windowUpdate(frame, increment);
  }

  settings(settings: readonly number[]): void {
    for (let index = 0; index < settings.length; index += 2) {
      const value = settings[index + 1] as number;
      switch (settings[index]) {
        case constants.NGHTTP2_SETTINGS_ENABLE_PUSH:
          if (value > 1) throw protocolError("a setting is out of range");
          break;
        case constants.NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE:
          this.#streams.setInitialWindow(value);
          break;
        case constants.NGHTTP2_SETTINGS_MAX_FRAME_SIZE:
          // Larger frames than the smallest limit are never sent.
          if (value < 2 ** 14 || value >= 2 ** 24) throw protocolError("a setting is out of range");
          break;
        case constants.NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE:
          this.#streams.client.maxHeaderListBytes = value;
      }
    }
    this.#output.push(encodeFrame(FrameType.settings, ackFlag, 0, nothing));
  }

  ping(payload: Buffer): void {
    this.#output.push(encodeFrame(FrameType.ping, ackFlag, 0, payload));
  }

  /** The client begins nothing more. */
  goaway(): void {
    this.draining = true;
    this.closed();
  }

  #goAway(code: number): void {
    const payload = Buffer.allocUnsafe(8);
    payload.writeUInt32BE(this.#streams.last, 0);
    payload.writeUInt32BE(code, 4);
    this.#output.push(encodeFrame(FrameType.goaway, 0, 0, payload));
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#output.flush();
    // Closed before the client has read it, the connection would take what was said last with it.
    this.#socket.end();
    this.#socket.resume();
    this.#serving.environment.watch.add(this, lingerMs);
  }

  #onDrain(): void {
    if (this.#socket.destroyed) return;
    this.#output.drained();
    this.#streams.goOn();
    if (!this.#output.full) this.#socket.resume();
  }

  #onClose(): void {
    this.#over = true;
    this.#serving.environment.watch.delete(this);
    this.#streams.destroy();
    this.#serving.left(this);
  }
}

const nothing = Buffer.alloc(0);

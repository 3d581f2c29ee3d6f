import * as net from "node:net";
import { HpackDecoder } from "../src/wire/hpack-decoder.js";
import { encodeHeaders } from "../src/wire/hpack-encoder.js";
import {
  encodeFrame,
  encodeHeaderFrames,
  encodeSettings,
  type Frame,
  FrameReader,
  FrameType,
  http2Preface,
  maxFrameBytes,
} from "../src/wire/http2-frames.js";

/** An HTTP/2 connection that sends exactly the frames that a test wants, and keeps what it hears. */
export class RawHttp2 implements Disposable {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  closed = false;
  readonly #reader = new FrameReader();
  readonly #hpack = new HpackDecoder(100_000);
  /** By stream: what its header blocks said, its content, and the code that it was reset with. */
  readonly streams = new Map<
    number,
    { headers: Record<string, string>; body: string; ended: boolean; reset?: number }
  >();
  goaway: number | undefined;
  /** Told of each header block, by its stream. */
  onHeaders: (stream: number) => void = () => {};

  constructor(endpoint: string, settings: readonly number[] = []) {
    const { port, hostname } = new URL(endpoint);
    this.socket = net.connect(Number(port), hostname).setNoDelay();
    this.socket.on("data", (chunk: Buffer) => this.#reader.read(chunk, (frame) => this.#take(frame)));
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
    });
    this.send(http2Preface, encodeSettings(settings));
  }

  send(...parts: Uint8Array[]): this {
    this.socket.write(Buffer.concat(parts));
    return this;
  }

  stream(id: number) {
    const stream = this.streams.get(id) ?? { headers: {}, body: "", ended: false };
    this.streams.set(id, stream);
    return stream;
  }

  #take(frame: Frame): void {
    const { type, flags, stream: id, payload } = frame;
    this.frames.push({ ...frame, payload: Buffer.from(payload) });
    if (type === FrameType.goaway) this.goaway = payload.readUInt32BE(4);
    if (id === 0) return;
    const stream = this.stream(id);
    if (type === FrameType.rstStream) stream.reset = payload.readUInt32BE(0);
    if (type === FrameType.data) stream.body += payload.toString("latin1");
    if (type === FrameType.headers) {
      const { list } = this.#hpack.decode(payload);
      for (let index = 0; index < list.length; index += 2)
        stream.headers[list[index] as string] = list[index + 1] as string;
      this.onHeaders(id);
    }
    if ((type === FrameType.data || type === FrameType.headers) && (flags & 1) !== 0) stream.ended = true;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** HEADERS of a request. */
export function requestHeaders(stream: number, path: string, type: string, extra: string[] = [], end = false): Buffer {
  const list = [":method", "POST", ":scheme", "http", ":path", path, ":authority", "x", "content-type", type];
  return encodeHeaderFrames(stream, encodeHeaders([...list, "te", "trailers", ...extra]), end);
}

/** DATA that ends a request, in as many frames as it takes. */
export function lastData(stream: number, body: string | Uint8Array): Buffer {
  const bytes = Buffer.from(body as string);
  const frames: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += maxFrameBytes) {
    const last = at + maxFrameBytes >= bytes.length;
    frames.push(encodeFrame(FrameType.data, last ? 1 : 0, stream, bytes.subarray(at, at + maxFrameBytes)));
  }
  return Buffer.concat(frames);
}

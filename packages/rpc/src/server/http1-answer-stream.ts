import { Writable } from "node:stream";
import type { BodyFraming } from "../wire/http1-response.js";

/** What the body of an answer needs of its connection. */
export interface AnswerTarget {
  /** Writes a part; false if the client must take something first: then `drained` is called. */
  write(parts: readonly (string | Uint8Array)[]): boolean;
  /** The body is whole. */
  finish(): void;
  /** Breaks the connection off, so that nobody takes the answer for whole. */
  breakOff(): void;
}

/** Up to this size, copying costs less than further writes. */
const oneWriteBytes = 16 * 1024;
const lineEnd = "\r\n";

/** The body of an answer that is written as it comes, in chunks or with the length that was told. */
export class AnswerStream extends Writable {
  readonly #target: AnswerTarget;
  readonly #isChunked: boolean;
  #left: number;
  #waiting: (() => void) | undefined;
  /** Lines that follow a body in chunks. */
  trailerLines = "";

  constructor(target: AnswerTarget, framing: BodyFraming) {
    super();
    this.#target = target;
    this.#isChunked = framing === "chunked";
    this.#left = typeof framing === "number" ? framing : 0;
    this.on("error", () => {}); // Whatever ends it is told by the connection's end.
  }

  /** The client takes more. */
  drained(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    this.#left -= chunk.length;
    if (!this.#isChunked && this.#left < 0) done(new Error("an answer is longer than its length"));
    else if (chunk.length === 0 || this.#target.write(this.#isChunked ? toChunk(chunk) : [chunk])) done();
    else this.#waiting = done;
  }

  override _final(done: (error?: Error) => void): void {
    if (!this.#isChunked && this.#left > 0) {
      done(new Error("an answer is shorter than its length"));
      return;
    }
    if (this.#isChunked) this.#target.write([`0\r\n${this.trailerLines}\r\n`]);
    this.#target.finish();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.writableFinished) this.#target.breakOff();
    done(error);
  }
}

function toChunk(chunk: Buffer): readonly (string | Uint8Array)[] {
  const size = chunk.length.toString(16) + lineEnd;
  if (chunk.length > oneWriteBytes) return [size, chunk, lineEnd];
  const bytes = Buffer.allocUnsafe(size.length + chunk.length + 2);
  bytes.write(size, 0, "latin1");
  bytes.set(chunk, size.length);
  bytes.write(lineEnd, size.length + chunk.length, "latin1");
  return [bytes];
}

import type { Http2Stream } from "node:http2";
import { type Envelope, encodeEnvelopes } from "./envelope.js";

/** So much is gathered before a write, even within one turn. */
const batchBytes = 64 * 1024;

/** Writes the messages of one turn of the event loop with one write. */
export class EnvelopeWriter {
  readonly #stream: Http2Stream;
  #batch: Envelope[] = [];
  #size = 0;
  #blocked = false;
  readonly #flush = () => this.flush();

  constructor(stream: Http2Stream) {
    this.#stream = stream;
  }

  /** Adds a message; says whether the peer is too slow, and {@link drained} must be awaited. */
  write(envelope: Envelope): boolean {
    if (this.#batch.push(envelope) === 1) process.nextTick(this.#flush);
    this.#size += envelope.data.length;
    if (this.#size >= batchBytes) this.flush();
    return this.#blocked;
  }

  flush(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#size = 0;
    if (this.#stream.destroyed || this.#stream.writableEnded) return;
    if (!this.#stream.write(encodeEnvelopes(batch))) this.#blocked = true;
  }

  /** Resolves when the peer has read on, or is gone. */
  async drained(): Promise<void> {
    const stream = this.#stream;
    if (!stream.destroyed && stream.writableNeedDrain) {
      await new Promise<void>((resolve) => {
        const done = () => {
          stream.off("drain", done);
          stream.off("close", done);
          resolve();
        };
        stream.once("drain", done);
        stream.once("close", done);
      });
    }
    this.#blocked = false;
  }
}

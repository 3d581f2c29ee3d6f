import type { ByteSink } from "./byte-sink.js";
import { type Envelope, encodeEnvelopes } from "./envelope.js";

/** So much is gathered before a write, even within one turn. */
const batchBytes = 64 * 1024;

/** Writes the messages of one turn of the event loop with one write. */
export class EnvelopeWriter {
  readonly #sink: ByteSink;
  #batch: Envelope[] = [];
  #size = 0;
  #blocked = false;
  readonly #flush = () => this.flush();

  constructor(sink: ByteSink) {
    this.#sink = sink;
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
    if (!this.#sink.write(encodeEnvelopes(batch))) this.#blocked = true;
  }

  /** Resolves when the peer has read on, or is gone. */
  async drained(): Promise<void> {
    await this.#sink.drained();
    this.#blocked = false;
  }
}

import type { StreamReader } from "./exchange.js";
import { HeldBytes } from "./held-bytes.js";

/** Gives the request of a stream to its reader, as far as that wants it; what comes meanwhile is held, and the client's window for it stays closed. */
export class StreamInput {
  readonly #reader: StreamReader;
  readonly #consumed: (bytes: number) => void;
  readonly #held = new HeldBytes();
  #paused: boolean = false;
  #resuming: boolean = false;
  #whole: boolean = false;
  #over: boolean = false;

  /** @param consumed told how many bytes need no room any more. */
  constructor(reader: StreamReader, consumed: (bytes: number) => void) {
    this.#reader = reader;
    this.#consumed = consumed;
  }

  pause(): void {
    this.#paused = true;
  }

  /** In a later turn: who asks for more is about to wait for it. */
  resume(): void {
    if (!this.#paused || this.#resuming) return;
    this.#resuming = true;
    process.nextTick(this.#goOn);
  }

  receive(chunk: Uint8Array): void {
    if (this.#paused) {
      this.#held.add(chunk);
      return;
    }
    this.#reader.read(chunk);
    this.#consumed(chunk.length);
  }

  /** Nothing more comes. */
  end(): void {
    this.#whole = true;
    if (!this.#paused) this.#finish();
  }

  /** The stream is closed. */
  close(): void {
    this.#over = true;
    this.#held.clear();
  }

  readonly #goOn = (): void => {
    this.#resuming = false;
    this.#paused = false;
    while (!this.#paused && !this.#over) {
      const bytes = this.#held.take();
      if (bytes === undefined) break;
      this.#reader.read(bytes);
      this.#consumed(bytes.length);
    }
    if (!this.#paused && this.#whole) this.#finish();
  };

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#reader.end();
  }
}

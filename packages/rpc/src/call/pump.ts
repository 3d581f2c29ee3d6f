import { MessageQueue } from "./message-queue.js";

/** How many messages one side may be ahead of the other. */
const ahead = 16;

/** A queue between two sides of one process: the writer waits while the reader is too far behind. */
export class Pipe<T> {
  readonly reader: MessageQueue<T>;
  #resume: (() => void) | undefined;
  #abandoned: boolean = false;

  /** @param onLeave called when the reader stops before the end. */
  constructor(onLeave?: () => void) {
    this.reader = new MessageQueue<T>(
      () => this.#wake(),
      () => {
        this.#abandoned = true;
        this.#wake();
        onLeave?.();
      },
    );
  }

  /** Moves everything from a source to the reader. The source's error becomes the reader's. */
  async pump(source: AsyncIterator<T>, transform: (item: T) => T, onError: (error: unknown) => unknown): Promise<void> {
    try {
      while (!this.#abandoned) {
        const result = await source.next();
        if (this.#abandoned) break;
        if (result.done === true) return this.reader.end();
        this.reader.push(transform(result.value));
        if (this.reader.size >= ahead) await this.#room();
      }
      await source.return?.();
    } catch (error) {
      this.reader.fail(onError(error));
    }
  }

  /** Ends both sides at once: the reader gets the error after what waits, the writer stops. */
  abandon(error: unknown): void {
    this.#abandoned = true;
    this.reader.fail(error);
    this.#wake();
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  #wake(): void {
    this.#resume?.();
    this.#resume = undefined;
  }
}

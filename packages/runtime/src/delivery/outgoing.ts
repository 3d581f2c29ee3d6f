/** How many messages may wait for a slow reader before whoever puts more waits too. */
const maxWaiting = 256;

/**
 * What goes out on a stream: several put, one reads. Bounded: `put` resolves when there is room. It ends well (`end`) or with an error
 * (`fail`), after what was put before.
 */
export class Outgoing<Message> implements AsyncIterable<Message> {
  #waiting: Message[] = [];
  #end: { readonly error: unknown } | "well" | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriters: (() => void)[] = [];

  /** Puts a message; resolves at once when the stream has ended: nobody will read it. */
  put(message: Message): Promise<void> | void {
    if (this.#end !== undefined) return;
    this.#waiting.push(message);
    this.#wakeReader?.();
    if (this.#waiting.length < maxWaiting) return;
    return new Promise((resolve) => {
      this.#wakeWriters.push(resolve);
    });
  }

  end(): void {
    this.#finish("well");
  }

  fail(error: unknown): void {
    this.#finish({ error });
  }

  #finish(end: { readonly error: unknown } | "well"): void {
    this.#end ??= end;
    this.#wakeReader?.();
    this.#release();
  }

  #release(): void {
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message> {
    try {
      for (;;) {
        const messages = this.#waiting;
        this.#waiting = [];
        this.#release();
        yield* messages;
        if (this.#waiting.length > 0) continue;
        if (this.#end === "well") return;
        if (this.#end !== undefined) throw this.#end.error;
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
        this.#wakeReader = undefined;
      }
    } finally {
      this.#end ??= "well";
      this.#release();
    }
  }
}

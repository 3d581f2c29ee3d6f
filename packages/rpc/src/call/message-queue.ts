/**
 * Items that one side pushes and the other takes in order. The pusher learns when the queue has run empty, so that it can stop at
 * a limit and go on later.
 */
export class MessageQueue<T> implements AsyncIterableIterator<T> {
  readonly #onEmpty: () => void;
  readonly #onReturn: (() => void) | undefined;
  #items: T[] = [];
  #head = 0;
  #waiting: { resolve: (result: IteratorResult<T>) => void; reject: (reason: unknown) => void }[] = [];
  #end: { error?: unknown } | undefined;

  constructor(onEmpty: () => void, onReturn?: () => void) {
    this.#onEmpty = onEmpty;
    this.#onReturn = onReturn;
  }

  /** How many items wait. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Whether no more items come. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  push(item: T): void {
    if (this.#end) return;
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve({ done: false, value: item });
    else this.#items.push(item);
  }

  /** No more items; those that wait are still taken. */
  end(): void {
    this.#finish({});
  }

  /** No more items; after those that wait, the taker gets the error. */
  fail(error: unknown): void {
    this.#finish({ error });
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#head < this.#items.length) {
      const value = this.#items[this.#head] as T;
      this.#items[this.#head++] = undefined as T;
      if (this.#head === this.#items.length) {
        this.#items = [];
        this.#head = 0;
        this.#onEmpty();
      }
      return Promise.resolve({ done: false, value });
    }
    if (this.#end) return this.#ended(this.#end);
    this.#onEmpty();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.#items = [];
    this.#head = 0;
    this.#finish({});
    this.#onReturn?.();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish(end: { error?: unknown }): void {
    if (this.#end) return;
    this.#end = end;
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      this.#ended(end).then(resolve, reject);
    }
  }

  /** The error is thrown once; after it the iteration is over, as a generator's. */
  #ended(end: { error?: unknown }): Promise<IteratorResult<T>> {
    if (!("error" in end)) return Promise.resolve({ done: true, value: undefined });
    const { error } = end;
    delete end.error;
    return Promise.reject(error);
  }
}

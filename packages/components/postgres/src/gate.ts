interface Waiter {
  enter(): void;
  refuse(error: unknown): void;
}

/** Lets a bounded number of calls in at a time; the others wait in order, and at most `maxWaiting` of them. */
export class Gate {
  readonly #waiting = new Set<Waiter>();
  readonly #maxWaiting: number;
  readonly #full: () => Error;
  #limit: number;
  #inside = 0;

  constructor(limit: number, maxWaiting: number, full: () => Error) {
    this.#limit = limit;
    this.#maxWaiting = maxWaiting;
    this.#full = full;
  }

  /** Undefined when the caller is in, else a promise of it; rejects with the signal's reason when it aborts before. */
  enter(signal: AbortSignal | undefined): Promise<void> | undefined {
    if (this.#inside < this.#limit) {
      this.#inside++;
      return undefined;
    }
    if (this.#waiting.size >= this.#maxWaiting) return Promise.reject(this.#full());
    return new Promise((resolve, reject) => {
      const abort = () => waiter.refuse(signal?.reason);
      const settle = () => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener("abort", abort);
      };
      const waiter: Waiter = {
        enter() {
          settle();
          resolve();
        },
        refuse(error) {
          settle();
          reject(error);
        },
      };
      this.#waiting.add(waiter);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** Must follow every entry. */
  leave(): void {
    this.#inside--;
    this.#admit();
  }

  /** How many may be inside from now on. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#admit();
  }

  /** Turns away everybody who waits. */
  refuseAll(error: () => Error): void {
    for (const waiter of [...this.#waiting]) waiter.refuse(error());
  }

  #admit(): void {
    for (const waiter of this.#waiting) {
      if (this.#inside >= this.#limit) return;
      this.#inside++;
      waiter.enter();
    }
  }
}

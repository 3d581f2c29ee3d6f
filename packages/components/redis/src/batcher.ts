/** Options of {@link Batcher}. */
export interface BatcherOptions<Item, Answer> {
  /** How much one batch weighs at most, unless one item alone is heavier. */
  readonly maxWeight: number;
  weigh(item: Item): number;
  /**
   * Sends a batch; resolves with the answers in the order of its items.
   *
   * @param giveUp to be called again and again while it is under way: answers callers that have gone
   */
  send(items: readonly Item[], giveUp: () => void): Promise<readonly Answer[]>;
  /** What a caller is told who has gone while his batch was under way. */
  abandoned(reason: unknown): unknown;
}

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly weight: number;
  readonly signal: AbortSignal | undefined;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * Sends together what is asked for in the same turn of the event loop, so that callers share the cost of a command and its way. None waits for
 * others to come.
 */
export class Batcher<Item, Answer> {
  readonly #options: BatcherOptions<Item, Answer>;
  #waiting: Waiting<Item, Answer>[] = [];

  constructor(options: BatcherOptions<Item, Answer>) {
    this.#options = options;
  }

  add(item: Item, signal?: AbortSignal): Promise<Answer> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      // After the microtasks: every caller that was answered in this turn has asked again by then.
      if (this.#waiting.length === 0) process.nextTick(() => this.flush());
      this.#waiting.push({ item, weight: this.#options.weigh(item), signal, resolve, reject });
    });
  }

  /** Sends what waits, now. */
  flush(): void {
    const all = this.#waiting;
    this.#waiting = [];
    let batch: Waiting<Item, Answer>[] = [];
    let weight = 0;
    for (const one of all) {
      weight += one.weight;
      if (batch.length > 0 && weight > this.#options.maxWeight) {
        this.#send(batch);
        batch = [];
        weight = one.weight;
      }
      batch.push(one);
    }
    if (batch.length > 0) this.#send(batch);
  }

  #send(batch: readonly Waiting<Item, Answer>[]): void {
    const giveUp = () => {
      for (const { signal, reject } of batch) {
        if (signal?.aborted === true) reject(this.#options.abandoned(signal.reason));
      }
    };
    this.#options
      .send(
        batch.map(({ item }) => item),
        giveUp,
      )
      .then(
        (answers) => {
          for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as Answer);
        },
        (error) => {
          for (const { reject } of batch) reject(error);
        },
      );
  }
}

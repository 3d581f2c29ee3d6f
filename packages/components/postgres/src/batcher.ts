import { tooMany, unavailable } from "./errors.js";

/** How many calls may wait. What is beyond it would wait longer than anybody's deadline. */
const maxWaiting = 5_000;

export interface BatcherOptions<Input, Output> {
  /** How many batches may be under way at a time. */
  readonly flights: number;
  /** How much a batch may hold: calls, and weight (but one call at least). */
  readonly maxCalls: number;
  readonly maxWeight: number;
  weigh(input: Input): number;
  /** Does what was asked, all of it; the outputs in the order of the inputs. */
  send(inputs: readonly Input[]): Promise<readonly Output[]>;
  /** What a caller is told that goes away while its batch is under way. */
  left(reason: unknown): unknown;
}

interface Entry<Input, Output> {
  readonly input: Input;
  readonly resolve: (output: Output) => void;
  readonly reject: (error: unknown) => void;
  isSent: boolean;
}

/**
 * Sends calls that come together as one statement. A call that finds a flight free leaves at once and alone; the others leave together when one
 * is free again, so that nobody waits for company, and the busier it is the less a call costs.
 */
export class Batcher<Input, Output> {
  readonly #options: BatcherOptions<Input, Output>;
  readonly #waiting = new Set<Entry<Input, Output>>();
  #flights = 0;
  #closed: boolean = false;
  #landed: (() => void) | undefined;

  constructor(options: BatcherOptions<Input, Output>) {
    this.#options = options;
  }

  /** Rejects with the signal's reason if it aborts before the call left. */
  call(input: Input, signal: AbortSignal | undefined): Promise<Output> {
    if (this.#closed) return Promise.reject(unavailable("the component is closed"));
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#waiting.size >= maxWaiting) return Promise.reject(tooMany(maxWaiting));
    return new Promise((resolve, reject) => {
      const entry =
        signal === undefined
          ? { input, resolve, reject, isSent: false }
          : this.#untilAbort(input, resolve, reject, signal);
      this.#waiting.add(entry);
      if (this.#flights < this.#options.flights) void this.#fly();
    });
  }

  /** Takes no more calls, and resolves when all are answered. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#flights > 0) {
      await new Promise<void>((resolve) => {
        this.#landed = resolve;
      });
    }
  }

  #untilAbort(
    input: Input,
    resolve: (output: Output) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal,
  ): Entry<Input, Output> {
    const abort = () => {
      this.#waiting.delete(entry);
      reject(entry.isSent ? this.#options.left(signal.reason) : signal.reason);
    };
    const stay = () => signal.removeEventListener("abort", abort);
    const entry: Entry<Input, Output> = {
      input,
      resolve(output) {
        stay();
        resolve(output);
      },
      reject(error) {
        stay();
        reject(error);
      },
      isSent: false,
    };
    signal.addEventListener("abort", abort, { once: true });
    return entry;
  }

  async #fly(): Promise<void> {
    this.#flights++;
    while (this.#waiting.size > 0) {
      const batch = this.#take();
      try {
        const outputs = await this.#options.send(batch.map(({ input }) => input));
        for (const [index, { resolve }] of batch.entries()) resolve(outputs[index] as Output);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    if (--this.#flights === 0) this.#landed?.();
  }

  #take(): Entry<Input, Output>[] {
    const { maxCalls, maxWeight, weigh } = this.#options;
    const batch: Entry<Input, Output>[] = [];
    let weight = 0;
    for (const entry of this.#waiting) {
      weight += weigh(entry.input);
      if (batch.length > 0 && weight > maxWeight) break;
      this.#waiting.delete(entry);
      entry.isSent = true;
      if (batch.push(entry) === maxCalls) break;
    }
    return batch;
  }
}

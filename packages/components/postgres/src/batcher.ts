import { tooMany, unavailable } from "./errors.js";

/** How many calls may wait. What is beyond it would wait longer than anybody's deadline. */
const maxWaiting = 5_000;

export interface BatcherOptions<Input, Output> {
  /** How many batches may be under way at a time. */
  readonly flights: number;
  /** How much a batch may hold: calls, and weight (but one call at least). */
  readonly maxCalls: number;
  readonly maxWeight: number;
  /** How much weight may wait. Default: any. */
  readonly maxWaitingWeight?: number;
  weigh(input: Input): number;
  /** Does what was asked, all of it; the outputs in the order of the inputs. */
  send(inputs: readonly Input[]): Promise<readonly Output[]>;
  /** What a caller is told that goes away while its batch is under way. */
  left(reason: unknown): unknown;
}

interface Entry<Input, Output> {
  readonly input: Input;
  readonly weight: number;
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
  #waitingWeight = 0;
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
    const weight = this.#options.weigh(input);
    const { maxWaitingWeight = Number.POSITIVE_INFINITY } = this.#options;
    const isFull = this.#waiting.size > 0 && this.#waitingWeight + weight > maxWaitingWeight;
    if (isFull || this.#waiting.size >= maxWaiting) return Promise.reject(tooMany(this.#waiting.size));
    return new Promise((resolve, reject) => {
      const entry =
        signal === undefined
          ? { input, weight, resolve, reject, isSent: false }
          : this.#untilAbort({ input, weight, resolve, reject }, signal);
      this.#waiting.add(entry);
      this.#waitingWeight += weight;
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

  #untilAbort(call: Omit<Entry<Input, Output>, "isSent">, signal: AbortSignal): Entry<Input, Output> {
    const abort = () => {
      if (this.#waiting.delete(entry)) this.#waitingWeight -= entry.weight;
      call.reject(entry.isSent ? this.#options.left(signal.reason) : signal.reason);
    };
    const stay = () => signal.removeEventListener("abort", abort);
    const entry: Entry<Input, Output> = {
      ...call,
      resolve(output) {
        stay();
        call.resolve(output);
      },
      reject(error) {
        stay();
        call.reject(error);
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
    const { maxCalls, maxWeight } = this.#options;
    const batch: Entry<Input, Output>[] = [];
    let weight = 0;
    for (const entry of this.#waiting) {
      weight += entry.weight;
      if (batch.length > 0 && weight > maxWeight) break;
      this.#waiting.delete(entry);
      this.#waitingWeight -= entry.weight;
      entry.isSent = true;
      if (batch.push(entry) === maxCalls) break;
    }
    return batch;
  }
}

import type { Msg } from "@nats-io/transport-node";
import type { Connection } from "./connection.js";
import { Pull, type PullTarget } from "./pulls.js";

/** How long a request waits for an event before it is made anew, in ms: the time within which events may come that nobody waits for. */
const waitMs = 5_000;
/** How long such an event is kept for the next who asks, in ms; then it is given back. */
const keepMs = 50;

/**
 * Waits for the next event of each of some consumers. A request for an event cannot be taken back, so one whose caller has gone stays for the
 * next caller; what comes in between is kept for a moment, and then given back.
 */
export class Waiting {
  readonly #connection: Connection;
  readonly #giveBack: (messages: readonly Msg[]) => void;
  readonly #pulls = new Set<PullTarget>();
  readonly #callers = new Set<() => void>();
  #arrived: Msg[] = [];
  #error: unknown;
  #timer: NodeJS.Timeout | undefined;
  #closed: boolean = false;

  constructor(connection: Connection, giveBack: (messages: readonly Msg[]) => void) {
    this.#connection = connection;
    this.#giveBack = giveBack;
  }

  /** Takes what has arrived: at most `maxItems`, and at most `maxBytes` of payload, but one is always allowed. */
  take(maxItems: number, maxBytes: number): Msg[] {
    if (this.#arrived.length === 0) return [];
    let bytes = 0;
    const beyond = this.#arrived.findIndex(({ data }, index) => {
      bytes += data.byteLength;
      return index === maxItems || (index > 0 && bytes > maxBytes);
    });
    return this.#arrived.splice(0, beyond === -1 ? this.#arrived.length : beyond);
  }

  /** Has a request waiting at each of some consumers. */
  async ask(targets: readonly PullTarget[]): Promise<void> {
    const missing = targets.filter((target) => !this.#pulls.has(target));
    if (missing.length === 0 || this.#closed) return;
    const live = await this.#connection.ready();
    for (const target of missing) {
      if (this.#pulls.has(target)) continue;
      this.#pulls.add(target);
      const pull = Pull.first(this.#connection, live, target, waitMs, (message) => this.#arrive(message));
      pull.ended.then(
        () => this.#ended(target),
        (error: unknown) => this.#ended(target, error),
      );
    }
  }

  /** Resolves when an event has arrived, when it is time to ask again, or when `signal` aborts. */
  async next(signal: AbortSignal): Promise<void> {
    if (this.#arrived.length > 0 || signal.aborted || this.#closed) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#callers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#callers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined && this.#arrived.length === 0 && !signal.aborted) throw error;
  }

  /** What has arrived, and what still comes, is given back. */
  close(): void {
    this.#closed = true;
    this.#wake();
    this.#giveBackArrived();
  }

  #arrive(message: Msg): void {
    this.#arrived.push(message);
    this.#wake();
    if (this.#closed) this.#giveBackArrived();
    else this.#timer ??= setTimeout(() => this.#giveBackArrived(), keepMs);
  }

  #ended(target: PullTarget, error?: unknown): void {
    this.#pulls.delete(target);
    if (error !== undefined && this.#callers.size > 0) this.#error = error;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#callers]) wake();
  }

  #giveBackArrived(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const messages = this.#arrived.splice(0);
    if (messages.length > 0) this.#giveBack(messages);
  }
}

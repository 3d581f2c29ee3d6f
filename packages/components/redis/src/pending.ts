/** How many commands may wait for their answers; more fail at once, so that a hanging server costs bounded memory. */
const maxPending = 25_000;
/** How many bytes of values may wait to be written or answered; as above. */
const maxPendingBytes = 256 * 1024 * 1024;

/** A command that waits for its answer, or for the connection. */
export interface Waiting {
  readonly bytes: number;
  /** Settles with whoever waits for it and has gone. */
  giveUp: () => void;
}

const settled = () => {};

/** What waits at one connection, within bounds. */
export class Pending {
  readonly #waiting = new Set<Waiting>();
  #bytes = 0;
  #answers = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** Counts answers, so that the watchdog can tell slow from silent. */
  get answers(): number {
    return this.#answers;
  }

  /** Whether nothing more may wait. */
  get isFull(): boolean {
    return this.#waiting.size >= maxPending;
  }

  /** Whether a command with so many bytes of values may wait. */
  hasRoomFor(bytes: number): boolean {
    return !this.isFull && (bytes === 0 || this.#bytes + bytes <= maxPendingBytes);
  }

  add(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.#bytes += waiting.bytes;
  }

  /** Forgets what was answered. */
  settle(waiting: Waiting): void {
    this.#answers++;
    this.delete(waiting);
    // What a Set has held V8 may keep a while after it has gone: at least not the command.
    waiting.giveUp = settled;
  }

  /** Forgets what waits no longer, answered or not. */
  delete(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    this.#bytes -= waiting.bytes;
  }

  /** Gives up callers that have gone. */
  giveUp(): void {
    for (const waiting of this.#waiting) waiting.giveUp();
  }
}

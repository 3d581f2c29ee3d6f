import { encodeInt4s } from "../binary.js";
import type { Connection, Statement } from "../connection.js";
import type { StoredGroup } from "./groups.js";

/** How often is looked for what nobody told of, in ms. */
const lookEveryMs = 500;

/** Looking takes at most one part in this many of the time, plus one, however many groups wait. */
const restFactor = 4;
const minRestMs = 3;
const maxRestMs = 25;

interface Waiting {
  readonly topic: number;
  readonly wakes: Set<() => void>;
}

/** Wakes consumers that wait: one of each group that has something to take. One statement looks for all of them. */
export class Arrivals {
  readonly #connection: Pick<Connection, "query">;
  readonly #statement: Statement;
  readonly #onError: (error: unknown) => void;
  readonly #waiting = new Map<number, Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #restUntil = 0;
  #looking: boolean = false;
  #lookAgain: boolean = false;
  #closed: boolean = false;

  constructor(connection: Pick<Connection, "query" | "schema">, onError: (error: unknown) => void) {
    const { schema } = connection;
    this.#connection = connection;
    this.#onError = onError;
    this.#statement = {
      name: "pubsub_look",
      text: `
        SELECT g.id, CASE WHEN EXISTS (SELECT FROM ${schema}.pubsub_event e WHERE e.topic = g.topic AND e.seq > g.cursor) THEN 0 ELSE (
            SELECT greatest(0, extract(epoch FROM d.due - clock_timestamp()) * 1000) FROM ${schema}.pubsub_delivery d
              WHERE d.group_id = g.id AND d.due IS NOT NULL ORDER BY d.due, d.seq LIMIT 1
          ) END FROM ${schema}.pubsub_group g WHERE g.id = ANY ($1::integer[])`,
    };
  }

  /** Resolves when there may be something to take for a group, when `signal` aborts, or when this closes. */
  next({ id, topic }: StoredGroup, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || this.#closed) return resolve();
      const waiting = this.#waiting.get(id) ?? { topic, wakes: new Set() };
      const wake = () => {
        signal.removeEventListener("abort", wake);
        waiting.wakes.delete(wake);
        if (waiting.wakes.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      waiting.wakes.add(wake);
      this.#waiting.set(id, waiting);
      // Something may have come since the caller looked.
      this.look();
    });
  }

  /** Something was published to a topic, here. */
  published(topic: number): void {
    for (const [id, waiting] of this.#waiting) if (waiting.topic === topic) this.#wakeOne(id);
  }

  /** Looks soon: something may have come, or whoever was woken may have left something. */
  look(): void {
    if (this.#looking) this.#lookAgain = true;
    else this.#lookAfter(0);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const id of [...this.#waiting.keys()]) this.#wakeAll(id);
  }

  #lookAfter(delayMs: number): void {
    if (this.#closed || this.#waiting.size === 0) return;
    const at = Math.max(performance.now() + delayMs, this.#restUntil);
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    const inMs = at - performance.now();
    if (inMs < 1) setImmediate(() => void this.#look());
    else this.#timer = setTimeout(() => void this.#look(), inMs);
  }

  async #look(): Promise<void> {
    this.#timerAt = Number.POSITIVE_INFINITY;
    if (this.#looking || this.#waiting.size === 0) return;
    this.#looking = true;
    this.#lookAgain = false;
    const began = performance.now();
    let nextMs = lookEveryMs;
    try {
      const asked = [...this.#waiting.keys()];
      const rows = await this.#connection.query(this.#statement, [encodeInt4s(asked)], { effect: "read" });
      for (const [id, inMs] of rows) {
        if (inMs === null || inMs === undefined) continue;
        if (Number(inMs) <= 0) this.#wakeOne(Number(id));
        else nextMs = Math.min(nextMs, Number(inMs));
      }
    } catch (error) {
      this.#onError(error);
    }
    this.#looking = false;
    const ended = performance.now();
    this.#restUntil = ended + Math.min(maxRestMs, Math.max(minRestMs, (ended - began) * restFactor));
    this.#lookAfter(this.#lookAgain ? 0 : nextMs);
  }

  #wakeOne(id: number): void {
    const [wake] = this.#waiting.get(id)?.wakes ?? [];
    wake?.();
  }

  #wakeAll(id: number): void {
    for (const wake of [...(this.#waiting.get(id)?.wakes ?? [])]) wake();
  }
}

import { resumeTokens, type StateChange, type StateStore } from "@mecha/component";
import { Gate } from "../gate.js";
import { type Batch, type ChangeLog, type Entry, type Range, resumeExpired } from "./changes.js";
import { decodePosition, encodePosition, type Position, type Snapshot } from "./position.js";
import { rangeOf } from "./rows.js";

type WatchCall = Parameters<StateStore["watch"]>[0];

/** How often is looked for changes that nobody told of, in ms. */
const lookEveryMs = 500;

/** The shortest time between two looks, in ms. */
const restMs = 3;

/** How many watches read at the same time, so that calls find connections free as well. */
const maxReading = 3;

/** One watch between its reads. */
interface Watcher {
  readonly range: Range;
  position: Position;
  /** Something of its own may have changed since it began to read last. */
  isStale: boolean;
  /** Set while it waits. */
  wake: (() => void) | undefined;
}

/**
 * All watches of one store. One look finds out which keys changed since the last one, and wakes the watches that they belong to; each reads its own
 * changes then. Watches that have nothing to read are moved on to the snapshot of the look, so that it is never a long way to their next change.
 */
export class Watches {
  readonly #log: ChangeLog;
  readonly #watchers = new Set<Watcher>();
  readonly #reading = new Gate(maxReading, Number.POSITIVE_INFINITY, () => new Error("unbounded"));
  readonly #onFirst: () => void;
  #seen: Snapshot | undefined;
  #looking: boolean = false;
  #lookAgain: boolean = false;
  #timer: NodeJS.Timeout | undefined;
  #closed: boolean = false;

  /** `onFirst` is called when there is a watch again after there was none. */
  constructor(log: ChangeLog, onFirst: () => void) {
    this.#log = log;
    this.#onFirst = onFirst;
  }

  get count(): number {
    return this.#watchers.size;
  }

  /** Looks for changes now, because there may be some. */
  look(): void {
    if (this.#watchers.size === 0 || this.#closed) return;
    if (this.#looking) this.#lookAgain = true;
    else void this.#look();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.wake?.();
  }

  async *watch(call: WatchCall): AsyncGenerator<readonly StateChange[]> {
    const { keyspace, target, signal } = call;
    const tokens = resumeTokens(keyspace, target);
    const resumeFrom = call.resumeToken === undefined ? undefined : tokens.decode(call.resumeToken);
    if (signal.aborted) return;
    const watcher: Watcher = {
      range: { keyspace, ...rangeOf(target) },
      position: nowhere,
      isStale: false,
      wake: undefined,
    };
    this.#add(watcher);
    const wake = () => watcher.wake?.();
    signal.addEventListener("abort", wake);
    try {
      const epoch = await this.#log.epoch(signal);
      const report = (entries: readonly Entry[]) =>
        entries.map((entry) => toChange(entry, tokens.encode(encodePosition(epoch, entry.position))));
      const start = resumeFrom === undefined ? undefined : decodePosition(epoch, resumeFrom);
      if (resumeFrom !== undefined && start === undefined) throw resumeExpired();

      if (start === undefined || start.scannedTo !== undefined) yield* this.#scan(watcher, start, signal, report);
      else watcher.position = start;
      yield* this.#changes(watcher, signal, report);
      if (this.#hasEnded(signal)) return;
      yield [{ type: "synced", resumeToken: tokens.encode(encodePosition(epoch, watcher.position)) }];

      while (!this.#hasEnded(signal)) {
        await this.#staleness(watcher, signal);
        try {
          yield* this.#changes(watcher, signal, report);
        } catch (error) {
          // While the server is away there is nothing to report; the next look that reaches it goes on from here.
          if (!isAway(error)) throw error;
        }
      }
    } catch (error) {
      if (!this.#hasEnded(signal) || (this.#closed && watcher.position === nowhere)) throw error;
    } finally {
      signal.removeEventListener("abort", wake);
      this.#watchers.delete(watcher);
    }
  }

  #hasEnded(signal: AbortSignal): boolean {
    return this.#closed || signal.aborted;
  }

  /** What is there, batch by batch; then the watch stands at the snapshot of the first one. */
  async *#scan(
    watcher: Watcher,
    start: Position | undefined,
    signal: AbortSignal,
    report: (entries: readonly Entry[]) => StateChange[],
  ): AsyncGenerator<readonly StateChange[]> {
    let position = start;
    for (let isLast = false; !isLast && !this.#hasEnded(signal); ) {
      const batch: Batch = await this.#read(signal, () => this.#log.scan(watcher.range, position, signal));
      ({ position, isLast } = batch);
      watcher.position = { base: position.base };
      if (batch.entries.length > 0) yield report(batch.entries);
    }
  }

  /** What changed since the watch's position, batch by batch. */
  async *#changes(
    watcher: Watcher,
    signal: AbortSignal,
    report: (entries: readonly Entry[]) => StateChange[],
  ): AsyncGenerator<readonly StateChange[]> {
    for (let isLast = false; !isLast && !this.#hasEnded(signal); ) {
      watcher.isStale = false;
      const batch = await this.#read(signal, () => this.#log.changes(watcher.range, watcher.position, signal));
      ({ isLast, position: watcher.position } = batch);
      if (batch.entries.length > 0) yield report(batch.entries);
    }
  }

  async #read(signal: AbortSignal, read: () => Promise<Batch>): Promise<Batch> {
    await this.#reading.enter(signal);
    try {
      return await read();
    } finally {
      this.#reading.leave();
    }
  }

  async #staleness(watcher: Watcher, signal: AbortSignal): Promise<void> {
    while (!watcher.isStale && !this.#hasEnded(signal)) {
      await new Promise<void>((resolve) => {
        watcher.wake = resolve;
      });
      watcher.wake = undefined;
    }
  }

  #add(watcher: Watcher): void {
    this.#watchers.add(watcher);
    if (this.#watchers.size > 1) return;
    this.#seen = undefined;
    this.#onFirst();
    this.look();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    clearTimeout(this.#timer);
    do {
      this.#lookAgain = false;
      // A look that fails has changed nothing: the next one begins where it began.
      await this.#find().catch(() => {});
      if (this.#lookAgain) await new Promise((resolve) => setTimeout(resolve, restMs));
    } while (this.#lookAgain && !this.#closed);
    this.#looking = false;
    if (this.#watchers.size > 0 && !this.#closed) this.#timer = setTimeout(() => this.look(), lookEveryMs).unref();
  }

  async #find(): Promise<void> {
    const [asked, waiting] = [
      new Set(this.#watchers),
      new Set([...this.#watchers].filter(({ wake }) => wake !== undefined)),
    ];
    const keyspaces = [...new Set([...asked].map(({ range }) => range.keyspace))];
    const { snapshot, keys } =
      this.#seen === undefined
        ? { snapshot: await this.#log.now(), keys: undefined }
        : await this.#log.changedKeys(keyspaces, this.#seen);
    this.#seen = snapshot;
    for (const watcher of this.#watchers) {
      const { range } = watcher;
      const isTouched =
        keys === undefined ||
        !asked.has(watcher) ||
        keys.some(({ keyspace, key }) => keyspace === range.keyspace && isWithin(range, key));
      if (isTouched) {
        watcher.isStale = true;
        watcher.wake?.();
      } else if (waiting.has(watcher) && watcher.wake !== undefined && !watcher.isStale) {
        watcher.position = { base: snapshot };
      }
    }
  }
}

/** Where a watch stands before its first read. */
const nowhere: Position = { base: { text: "0:0:", at: 0 } };

function isAway(error: unknown): boolean {
  return error instanceof Error && "reason" in error && error.reason === "COMPONENT_UNAVAILABLE";
}

function toChange({ key, item, expired }: Entry, resumeToken: string): StateChange {
  return item === undefined ? { type: "deleted", key, expired, resumeToken } : { type: "item", item, resumeToken };
}

/** Whether a key lies in a range, byte by byte. */
function isWithin({ from, to }: Range, key: string): boolean {
  return inOrder(from, key) <= 0 && inOrder(key, to) < 0;
}

/** UTF-16 sorts surrogates before U+E000, UTF-8 after; bytes are the order that counts. */
const inOrder = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

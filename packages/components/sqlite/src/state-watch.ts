import { setImmediate as turn } from "node:timers/promises";
import { ComponentError, resumeTokens, type StateChange, type StateStore } from "@mecha/component";
import type { Connection } from "./connection.js";
import { type KeyRange, rangeAfter, rangeOfKey, rangeOfPrefix } from "./ranges.js";
import { createFeed, type Feed, logWindow } from "./state-feed.js";
import type { StateReads } from "./state-reads.js";
import type { Sweeper } from "./state-sweeper.js";

/** How much one batch of changes holds. */
const batchLimits = { limit: 256, maxBytes: 1024 * 1024, keysOnly: false } as const;

type WatchCall = Parameters<StateStore["watch"]>[0];
type Batch = readonly StateChange[];

/** Where a watch is. */
interface Position {
  /** Up to this revision of the log everything was reported. */
  since: number;
  /** While it still reports what is there, that holds for keys up to this one only: "" before the first. */
  listedTo: string | undefined;
}

/**
 * Watches without buffers: a watch is a position in the change log that the file keeps anyway, and reads on when its consumer asks for
 * more. One that resumes too late is told so.
 */
export function createWatch(connection: Connection, reads: StateReads, sweeper: Sweeper): StateStore["watch"] {
  const feed = createFeed(connection, reads);
  return async function* watch(call) {
    if (call.signal.aborted) return;
    const fileId = await connection.reader.read(reads.fileId);
    const relax = sweeper.hurry();
    try {
      // So that what has expired is logged before the watch begins: a new one need not hear of it, and one that resumes does at once. If
      // it fails (the disk is full), the watch is told of it later.
      await sweeper.sweep().catch(() => {});
      yield* new Watch(connection, reads, feed, fileId, call).run();
    } finally {
      relax();
    }
  };
}

class Watch {
  readonly #connection: Connection;
  readonly #reads: StateReads;
  readonly #feed: Feed;
  readonly #fileId: string;
  readonly #call: WatchCall;
  readonly #range: KeyRange;
  readonly #token: (position: Position) => string;

  constructor(connection: Connection, reads: StateReads, feed: Feed, fileId: string, call: WatchCall) {
    this.#connection = connection;
    this.#reads = reads;
    this.#feed = feed;
    this.#fileId = fileId;
    this.#call = call;
    const { keyspace, target } = call;
    this.#range = "key" in target ? rangeOfKey(target.key) : rangeOfPrefix(target.prefix);
    const { encode } = resumeTokens(keyspace, target);
    this.#token = ({ since, listedTo }) =>
      encode(listedTo === undefined ? `${fileId}.${since}` : `${fileId}.${since}.${encodeURIComponent(listedTo)}`);
  }

  get #isOver(): boolean {
    return this.#call.signal.aborted || this.#connection.closing.aborted;
  }

  async *run(): AsyncGenerator<Batch> {
    if (this.#isOver) return;
    const start = await this.#start();
    if (start.listedTo !== undefined) yield* this.#list(start);
    yield* this.#follow(start.since);
  }

  async #start(): Promise<Position> {
    const { keyspace, target, resumeToken } = this.#call;
    const { reader } = this.#connection;
    if (resumeToken === undefined) return { since: await reader.read(this.#reads.revision), listedTo: "" };
    const [fileId, since, listedTo] = resumeTokens(keyspace, target).decode(resumeToken).split(".");
    if (fileId !== this.#fileId) throw resumeExpired();
    return { since: Number(since), listedTo: listedTo === undefined ? undefined : decodeURIComponent(listedTo) };
  }

  /** What is there, in pages by key. */
  async *#list({ since, listedTo }: Position): AsyncGenerator<Batch> {
    for (let more = true; more && !this.#isOver; ) {
      const rest = rangeAfter(this.#range, listedTo);
      const page = await this.#connection.reader.read(() => this.#reads.list(this.#call.keyspace, rest, batchLimits));
      const changes = page.items.map(
        (item): StateChange => ({ type: "item", item, resumeToken: this.#token({ since, listedTo: item.key }) }),
      );
      if (changes.length > 0) yield changes;
      more = page.more;
      listedTo = page.items.at(-1)?.key;
    }
  }

  /** What the log holds after a revision and what comes to it; `synced` once it has reported what was there when it began. */
  async *#follow(since: number): AsyncGenerator<Batch> {
    let position: number | undefined = since;
    let syncedFrom: number | undefined = this.#isOver ? 0 : await this.#connection.reader.read(this.#reads.revision);
    while (position !== undefined && !this.#isOver) {
      const { changes, readTo, head } = await this.#readLog(position);
      position = readTo;
      if (changes.length > 0) yield changes;
      if (syncedFrom !== undefined && position >= syncedFrom) {
        syncedFrom = undefined;
        yield [{ type: "synced", resumeToken: this.#token({ since: position, listedTo: undefined }) }];
      }
      if (position < head) await turn();
      else position = await this.#feed.next(this.#call.keyspace, this.#range, position, this.#call.signal);
    }
  }

  /** One window of the log, with each item as it is now. */
  #readLog(since: number) {
    const { keyspace } = this.#call;
    return this.#connection.reader.snapshot(() => {
      const head = this.#reads.revision();
      // A revision that is yet to come is one that a restored backup has lost.
      if (since < this.#reads.forgotten() || since > head) throw resumeExpired();
      const readTo = Math.min(head, since + logWindow);
      const changes: StateChange[] = [];
      let bytes = 0;
      for (const { revision, key, gone, expired, ...entry } of this.#reads.log(since, readTo)) {
        if (entry.keyspace !== keyspace || !this.#range.has(key)) continue;
        const resumeToken = this.#token({ since: revision, listedTo: undefined });
        if (gone) changes.push({ type: "deleted", key, expired, resumeToken });
        else {
          const item = this.#reads.get(keyspace, key);
          // Its time is over; the sweeper will log that.
          if (item === undefined) continue;
          bytes += item.value.byteLength;
          changes.push({ type: "item", item, resumeToken });
        }
        if (changes.length >= batchLimits.limit || bytes >= batchLimits.maxBytes) {
          return { changes, readTo: revision, head };
        }
      }
      return { changes, readTo, head };
    });
  }
}

function resumeExpired(): ComponentError {
  const message = "the resume token is too old: what was deleted since is forgotten; watch again without a token";
  return new ComponentError("RESUME_EXPIRED", message);
}

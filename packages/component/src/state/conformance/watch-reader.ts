import assert from "node:assert/strict";
import type { Reason } from "../../errors.js";
import type { StateChange, StateItem, StateStore } from "../interface.js";
import { eventually, refused } from "./expect.js";

/** The part of a store that is watched. */
interface Watched {
  readonly store: StateStore;
  readonly keyspace: string;
  listAll(prefix: string): Promise<StateItem[]>;
}

/** Where a watch begins. */
export interface WatchOptions {
  readonly resumeToken?: string;
  /** What the watcher knew at that token. */
  readonly view?: ReadonlyMap<string, StateItem>;
}

/** Reads a watch in the background, folds what it reports into a view, and checks what holds for every watch. */
export class WatchReader {
  /** Everything that was reported, in order. */
  readonly changes: StateChange[] = [];
  /** What a client that follows the watch believes is there. */
  readonly view: Map<string, StateItem>;
  /** The last token that was received. */
  resumeToken: string | undefined;
  synced: boolean = false;
  ended: boolean = false;
  readonly #abort = new AbortController();
  readonly #reading: Promise<void>;
  #error: unknown;

  constructor(
    private readonly watched: Watched,
    readonly target: { readonly key: string } | { readonly prefix: string },
    { resumeToken, view }: WatchOptions,
  ) {
    this.view = new Map(view);
    this.resumeToken = resumeToken;
    this.#reading = this.#read().catch((error: unknown) => {
      this.#error = error;
    });
  }

  async #read(): Promise<void> {
    const { store, keyspace } = this.watched;
    const { signal } = this.#abort;
    for await (const batch of store.watch({ keyspace, target: this.target, resumeToken: this.resumeToken, signal })) {
      for (const change of batch) this.#take(change);
    }
    this.ended = true;
  }

  #take(change: StateChange): void {
    assert.notEqual(change.resumeToken, "", "every change bears a resume token");
    this.resumeToken = change.resumeToken;
    this.changes.push(change);
    if (change.type === "synced") {
      assert(!this.synced, "a watch is synced once");
      this.synced = true;
      return;
    }
    const key = change.type === "item" ? change.item.key : change.key;
    const watched = "key" in this.target ? key === this.target.key : key.startsWith(this.target.prefix);
    assert(watched, `reported ${JSON.stringify(key)}, which is not watched (${JSON.stringify(this.target)})`);
    if (change.type === "item") this.view.set(key, change.item);
    else this.view.delete(key);
  }

  /** Waits until the watch reported enough for `condition` to hold; fails at once if the watch failed. */
  async until(what: string, condition: () => boolean, deadlineMs?: number): Promise<void> {
    await eventually(
      what,
      () => {
        if (this.#error !== undefined) throw this.#error;
        return condition();
      },
      deadlineMs,
    );
  }

  async untilSynced(): Promise<void> {
    await this.until("the watch is synced", () => this.synced);
  }

  /** Waits until the last thing reported about a key is that it is gone; returns that. */
  async untilDeleted(key: string, deadlineMs?: number): Promise<StateChange & { readonly type: "deleted" }> {
    const last = () => this.changes.findLast((change) => change.type === "deleted" && change.key === key);
    await this.until(
      `${JSON.stringify(key)} is reported as gone`,
      () => last() !== undefined && !this.view.has(key),
      deadlineMs,
    );
    const change = last();
    assert(change?.type === "deleted");
    return change;
  }

  /** Waits until the view is what the store lists: the same keys with the same etags. */
  async untilCurrent(): Promise<void> {
    const { target } = this;
    const prefix = "key" in target ? target.key : target.prefix;
    let difference = "nothing was compared";
    const same = async () => {
      if (this.#error !== undefined) throw this.#error;
      const listed = (await this.watched.listAll(prefix)).filter(({ key }) => !("key" in target) || key === target.key);
      const wrong = listed.filter(({ key, etag }) => this.view.get(key)?.etag !== etag).map(({ key }) => key);
      const gone = [...this.view.keys()].filter((key) => !listed.some((item) => item.key === key));
      difference = `stale or missing: ${JSON.stringify(wrong)}, not told gone: ${JSON.stringify(gone)}`;
      return this.synced && wrong.length === 0 && gone.length === 0;
    };
    await eventually("the watch has reported everything", same).catch((error: unknown) => {
      throw error instanceof assert.AssertionError
        ? new assert.AssertionError({ message: `${error.message}; ${difference}` })
        : error;
    });
  }

  /** What was reported about one key. */
  of(key: string): StateChange[] {
    return this.changes.filter((change) =>
      change.type === "item" ? change.item.key === key : change.type === "deleted" && change.key === key,
    );
  }

  /** Waits for the watch to end by itself, without an error. */
  async end(): Promise<void> {
    await this.until("the watch has ended", () => this.ended);
  }

  /** Waits for the watch to fail, for this reason. */
  async refused(reason: Reason): Promise<void> {
    await eventually(`the watch fails for ${reason}`, () => this.ended || this.#error !== undefined);
    await refused(
      this.#reading.then(() => Promise.reject(this.#error)),
      reason,
    );
    this.#error = undefined;
    this.ended = true;
  }

  /** Ends the watch as a caller that goes away does. It must end soon, and without an error. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.end();
  }
}

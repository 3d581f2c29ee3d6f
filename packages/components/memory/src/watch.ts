import { ComponentError, type ResumeTokens, resumeTokens, type StateChange, type StateStore } from "@mecha/component";
import { type Entry, isPresent, type Keyspace } from "./keyspace.js";
import { orderOf } from "./sorted-entries.js";

/** How many changes a batch holds at the most. */
const maxBatch = 256;

type WatchCall = Parameters<StateStore["watch"]>[0];

/** What a watch sees of its store. */
export interface Watched {
  readonly space: Keyspace;
  /** The store's instance, which its tokens bear. */
  readonly instance: string;
  /** The revision of the last change to anything; undefined once the store is closed. */
  revision(): number | undefined;
}

/** Watches a key or a prefix. */
export function watchKeyspace(watched: Watched, call: WatchCall): AsyncIterable<readonly StateChange[]> {
  return new Watch(watched, call).run();
}

/**
 * A watch keeps a revision, up to which it has reported everything, and for the time of one batch the entries that it is about to report.
 * While what is there is being reported, that revision holds for the keys up to `#key` only.
 */
class Watch {
  readonly #watched: Watched;
  readonly #call: WatchCall;
  readonly #tokens: ResumeTokens;
  #revision = 0;
  /** Undefined once all that was there is reported; "" before any of it is. */
  #key: string | undefined = "";

  constructor(watched: Watched, call: WatchCall) {
    this.#watched = watched;
    this.#call = call;
    this.#tokens = resumeTokens(call.keyspace, call.target);
  }

  async *run(): AsyncGenerator<readonly StateChange[]> {
    const { resumeToken } = this.#call;
    if (resumeToken === undefined) this.#revision = this.#watched.revision() ?? 0;
    else this.#goOnFrom(this.#tokens.decode(resumeToken));

    if (this.#key !== "") yield* this.#changes();
    if (this.#key !== undefined) yield* this.#present(this.#key);
    if (this.#ended) return;
    this.#key = undefined;
    yield [{ type: "synced", resumeToken: this.#token(this.#revision, undefined) }];

    while (!this.#ended) {
      if (this.#watched.revision() === this.#revision) await this.#changed();
      yield* this.#changes();
    }
  }

  get #ended(): boolean {
    return this.#call.signal.aborted || this.#watched.revision() === undefined;
  }

  /** What is there behind the key `after`, page by page. */
  *#present(after: string): Generator<readonly StateChange[]> {
    const { target } = this.#call;
    for (let page = this.#page(after); page.length > 0 && !this.#ended; page = this.#page(this.#key ?? "")) {
      this.#key = page.at(-1)?.key ?? "";
      yield page.map((entry) => changeOf(entry, this.#token(this.#revision, entry.key)));
      if ("key" in target) return;
    }
  }

  #page(after: string): Entry[] {
    const { target } = this.#call;
    if ("key" in target) {
      const entry = this.#watched.space.find(target.key);
      return after === "" && entry !== undefined && isPresent(entry) ? [entry] : [];
    }
    const page: Entry[] = [];
    for (const entry of this.#watched.space.list(target.prefix, after === "" ? undefined : after)) {
      if (page.push(entry) === maxBatch) break;
    }
    return page;
  }

  /** What changed since the watch's revision, of the keys that it has reported. */
  *#changes(): Generator<readonly StateChange[]> {
    const { space } = this.#watched;
    const [since, key, now] = [this.#revision, this.#key, this.#watched.revision()];
    if (now === undefined) return;
    if (since < space.forgottenRevision) throw tooOld();
    const upTo = key === undefined ? undefined : orderOf(key);
    const entries = this.#changedSince(since).filter(({ order }) => upTo === undefined || order <= upTo);
    for (let at = 0; at < entries.length && !this.#ended; at += maxBatch) {
      // What has changed again meanwhile bears a later revision than `now`, and is reported with that.
      const batch = entries.slice(at, at + maxBatch).filter(({ revision }) => revision <= now);
      yield batch.map((entry) => changeOf(entry, this.#token(key === undefined ? entry.revision : since, key)));
    }
    this.#revision = now;
  }

  #changedSince(revision: number): Entry[] {
    const { target } = this.#call;
    const { space } = this.#watched;
    if (!("key" in target)) return space.changedSince(revision, target.prefix);
    const entry = space.find(target.key);
    return entry !== undefined && entry.revision > revision ? [entry] : [];
  }

  /** Waits for a change, or for the end. */
  #changed(): Promise<void> {
    const { target, signal } = this.#call;
    return new Promise((resolve) => {
      const done = () => {
        leave();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const leave = this.#watched.space.waiters.add(target, done);
      signal.addEventListener("abort", done);
    });
  }

  #token(revision: number, key: string | undefined): string {
    const position = `${this.#watched.instance}.${revision}`;
    return this.#tokens.encode(key === undefined ? position : `${position}.${encodeURIComponent(key)}`);
  }

  #goOnFrom(position: string): void {
    const [instance, revision, key] = position.split(".");
    // What an earlier process stored is gone, and so is what it knew of deletions.
    if (instance !== this.#watched.instance) throw tooOld();
    this.#revision = Number(revision);
    this.#key = key === undefined ? undefined : decodeURIComponent(key);
  }
}

function changeOf({ key, item, expired }: Entry, resumeToken: string): StateChange {
  return item === undefined ? { type: "deleted", key, expired, resumeToken } : { type: "item", item, resumeToken };
}

function tooOld(): ComponentError {
  const message =
    "the memory component no longer knows all that was deleted since this resume token; watch again without one";
  return new ComponentError("RESUME_EXPIRED", message);
}

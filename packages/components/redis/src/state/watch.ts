import { setTimeout as delay } from "node:timers/promises";
import {
  ComponentError,
  type ResumeTokens,
  resumeTokens,
  type StateChange,
  type StateStore,
  stateLimits,
} from "@mecha/component";
import type { Reply } from "../command.js";
import type { Redis } from "../redis.js";
import type { Changes } from "./changes.js";
import { decodeItem } from "./item.js";
import { fixedKeys } from "./layout.js";
import { changesScript } from "./read-scripts.js";

/** What is watched. */
export type WatchTarget = { readonly key: string } | { readonly prefix: string };

/** What a watch needs. */
export interface WatchOptions {
  readonly redis: Redis;
  readonly changes: Changes;
  readonly keyspace: string;
  readonly tag: string;
  readonly target: WatchTarget;
  readonly resumeToken: string | undefined;
  readonly signal: AbortSignal;
  list(page: Omit<Parameters<StateStore["list"]>[0], "keyspace" | "signal">): ReturnType<StateStore["list"]>;
}

/** How far a watcher has come. */
interface Position {
  /** Whose revisions these are; "" before the first write. */
  readonly epoch: string;
  /** Every change up to here has been reported; while what is there is being listed, only what was before it began. */
  readonly revision: number;
  /** While what is there is being listed: the last key that was, or "". */
  readonly after: string | undefined;
}

/** A position as the text of a resume token. */
function format({ epoch, revision, after }: Position): string {
  return `${epoch}.${revision}${after === undefined ? "" : `.${after}`}`;
}

/** {@link format}, backwards; the token's checksum has vouched for the text. */
function parse(text: string): Position {
  const [epoch = "", revision = ""] = text.split(".", 2);
  const after = text.slice(epoch.length + revision.length + 1);
  return { epoch, revision: Number(revision), after: after === "" ? undefined : after.slice(1) };
}

/** How many bytes of values a batch may have; it holds at least the changes of one transaction. */
const maxBatchBytes = stateLimits.maxPageBytes;
/** How long an open watch waits before it asks again while Redis is away. */
const awayMs = 250;

/**
 * Reports what is there, or what has changed since a token, then `synced`, then changes. It holds one batch at a time: what happens while
 * the consumer is busy is found in Redis afterwards, coalesced. An open watch outlives Redis' absence: it goes on from where it was.
 */
export async function* watch(call: WatchOptions): AsyncGenerator<readonly StateChange[]> {
  const { changes, tag, target } = call;
  if (call.signal.aborted) return;
  if (changes.closed) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
  const ended = new AbortController();
  const end = () => ended.abort();
  const { signal } = ended;
  const options = { ...call, signal };
  const tokens = resumeTokens(options.keyspace, target);
  const bell = new Bell(signal);
  const matches =
    "key" in target ? (key: string) => key === target.key : (key: string) => key.startsWith(target.prefix);
  const resumed = options.resumeToken === undefined ? undefined : parse(tokens.decode(options.resumeToken));
  using _registration = changes.watch(tag, { matches, wake: () => bell.ring(), end });
  call.signal.addEventListener("abort", end);
  try {
    let position = resumed ?? (await beginning(options));
    if (position.after !== undefined) {
      yield* snapshot(options, position, tokens);
      position = { ...position, after: undefined };
    }
    let synced = false;
    while (!signal.aborted) {
      bell.reset();
      const since = await readSince(options, position, synced);
      const batch = toChanges(since, position, tokens);
      position = { epoch: since.epoch, revision: since.revision, after: undefined };
      if (since.complete && !synced) {
        synced = true;
        batch.push({ type: "synced", resumeToken: tokens.encode(format(position)) });
      }
      if (batch.length > 0) yield batch;
      if (since.complete) await bell.rung;
    }
  } catch (error) {
    // Whoever stops watching, and a component that closes, stops what is on its way; that is no error.
    if (!signal.aborted) throw error;
  } finally {
    call.signal.removeEventListener("abort", end);
  }
}

/** Where a watch without a token begins: with a list of what is there, and then all that was written after it began. */
async function beginning({ redis, tag, signal }: WatchOptions): Promise<Position> {
  const command = ["HMGET", `${tag}:meta`, "epoch", "revision"];
  const [epoch, revision] = await redis.read(command, { route: tag, signal }, (reply) => reply as (string | null)[]);
  return { epoch: epoch ?? "", revision: Number(revision ?? 0), after: "" };
}

/** What is there, page by page, in the order of keys. */
async function* snapshot({ target, list }: WatchOptions, start: Position, tokens: ResumeTokens) {
  const prefix = "key" in target ? target.key : target.prefix;
  // No key comes before the one that is its own prefix, so the first of a page is the key itself if it is there.
  const limit = "key" in target ? 1 : stateLimits.maxPageSize;
  let after = start.after === "" ? undefined : start.after;
  for (;;) {
    const page = await list({ prefix, after, limit, maxBytes: maxBatchBytes, keysOnly: false });
    const items = "key" in target ? page.items.filter(({ key }) => key === target.key) : page.items;
    const batch = items.map((item): StateChange => {
      return { type: "item", item, resumeToken: tokens.encode(format({ ...start, after: item.key })) };
    });
    if (batch.length > 0) yield batch;
    if (!page.more || "key" in target) return;
    after = items.at(-1)?.key;
  }
}

/** What the changes script found. */
interface Since {
  readonly epoch: string;
  readonly revision: number;
  /** Whether there was nothing more. */
  readonly complete: boolean;
  readonly changes: readonly { revision: number; kind: string; key: string; stored: Buffer }[];
}

/** Reads what has changed. `patient`: waits for Redis to come back instead of failing. */
async function readSince(options: WatchOptions, from: Position, patient: boolean): Promise<Since> {
  const { redis, tag, target, signal } = options;
  const args = [from.epoch, String(from.revision), String(maxBatchBytes)];
  args.push(...("key" in target ? ["k", target.key] : ["p", target.prefix]));
  for (;;) {
    try {
      const reply = await redis.run(changesScript, fixedKeys(tag), args, { route: tag, signal, binary: true });
      return toSince(reply as readonly Reply[]);
    } catch (error) {
      const away = error instanceof ComponentError && error.reason === "COMPONENT_UNAVAILABLE";
      if (!away || !patient) throw error;
      await delay(awayMs, undefined, { ref: false, signal });
    }
  }
}

function toSince([status, epoch, revision, complete, ...fields]: readonly Reply[]): Since {
  if (String(status) === "expired") {
    throw new ComponentError(
      "RESUME_EXPIRED",
      "what has changed since this token is not known any more; watch again without one",
    );
  }
  const changes = [];
  for (let i = 0; i < fields.length; i += 4) {
    const [at, kind, key, stored] = fields.slice(i, i + 4);
    changes.push({ revision: Number(at), kind: String(kind), key: String(key), stored: stored as Buffer });
  }
  return { epoch: String(epoch), revision: Number(revision), complete: complete === 1, changes };
}

/** A token never stands between the changes of one transaction: it says that all of a revision has been seen. */
function toChanges({ epoch, revision, changes }: Since, from: Position, tokens: ResumeTokens): StateChange[] {
  let seen = from;
  return changes.map(({ revision: at, kind, key, stored }, index): StateChange => {
    const next = changes[index + 1];
    if (next === undefined) seen = { epoch, revision, after: undefined };
    else if (next.revision > at) seen = { epoch, revision: at, after: undefined };
    const resumeToken = tokens.encode(format(seen));
    if (kind === "i") return { type: "item", item: decodeItem(key, stored), resumeToken };
    return { type: "deleted", key, expired: kind === "x", resumeToken };
  });
}

/** Wakes a watch that has nothing to do. */
class Bell {
  #ring: () => void = () => {};
  rung: Promise<void> = Promise.resolve();

  constructor(signal: AbortSignal) {
    this.reset();
    signal.addEventListener("abort", () => this.ring(), { once: true });
    if (signal.aborted) this.ring();
  }

  ring(): void {
    this.#ring();
  }

  reset(): void {
    this.rung = new Promise((resolve) => {
      this.#ring = resolve;
    });
  }
}

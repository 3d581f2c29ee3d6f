import { type PubSubEntry, type StateOperation, type StateRequestId, stateLimits } from "@mecha/component";
import type { Argument, Reply } from "../command.js";
import { Abandoned, kindOf, toComponentError } from "../failures.js";
import { publishKeys } from "../pubsub/layout.js";
import { newMark, pushEntry } from "../pubsub/publishable.js";
import type { Redis } from "../redis.js";
import { encodePayload } from "./item.js";
import { itemKey, requestKey } from "./layout.js";
import { writeScript } from "./write-scripts.js";

/** What the write script answered to one write. */
export type WriteReply = readonly [string, ...Reply[]];

/** What a write publishes, by the tag of the topic. */
export type TopicEntries = ReadonlyMap<string, readonly PubSubEntry[]>;

/** A batch ends at this many operations or bytes of values: what one script may cost the server's other callers. */
const maxBatchOperations = 128;
const maxBatchBytes = 512 * 1024;

interface Waiting {
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
  readonly operations: number;
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  readonly repeatable: boolean;
  resolve(reply: WriteReply): void;
  reject(error: unknown): void;
}

/**
 * The writes of one keyspace. Those that are asked for in the same turn of the event loop go out as one command and share its cost; each
 * of them succeeds or fails by itself. None waits for others to come.
 */
export class WriteQueue {
  readonly #redis: Redis;
  readonly #tag: string;
  readonly #fixedKeys: readonly string[];
  readonly #fixedArgs: readonly string[];
  #waiting: Waiting[] = [];

  constructor(redis: Redis, tag: string, fixedKeys: readonly string[], history: number) {
    this.#redis = redis;
    this.#tag = tag;
    this.#fixedKeys = fixedKeys;
    this.#fixedArgs = [String(history), String(stateLimits.requestIdTtlMs)];
  }

  /** Writes; what the script answers is not judged here. */
  write(
    operations: readonly StateOperation[],
    publishes: TopicEntries,
    requestId: StateRequestId | undefined,
    signal: AbortSignal | undefined,
  ): Promise<WriteReply> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const keys = operations.map(({ key }) => itemKey(this.#tag, key));
    const fingerprint = requestId === undefined ? "" : `=${requestId.fingerprint}`;
    const args: Argument[] = [String(operations.length), fingerprint, String(publishes.size)];
    let count = operations.length;
    let bytes = 0;
    for (const operation of operations) {
      if (operation.type === "set") bytes += operation.value.length;
      pushOperation(args, operation);
    }
    if (requestId !== undefined) keys.push(requestKey(this.#tag, requestId.id));
    for (const [tag, entries] of publishes) {
      keys.push(...publishKeys(tag));
      args.push(String(entries.length), newMark());
      count += entries.length;
      for (const entry of entries) {
        bytes += entry.payload.length;
        pushEntry(args, entry);
      }
    }
    return new Promise((resolve, reject) => {
      // After the microtasks: every caller that was answered in this turn has asked for its next write by then.
      if (this.#waiting.length === 0) process.nextTick(() => this.flush());
      const repeatable = requestId !== undefined;
      this.#waiting.push({ keys, args, operations: count, bytes, signal, repeatable, resolve, reject });
    });
  }

  /** Sends what waits, now. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    let batch: Waiting[] = [];
    let [operations, bytes] = [0, 0];
    for (const write of this.#waiting) {
      operations += write.operations;
      bytes += write.bytes;
      if (batch.length > 0 && (operations > maxBatchOperations || bytes > maxBatchBytes)) {
        void this.#send(batch);
        batch = [];
        [operations, bytes] = [write.operations, write.bytes];
      }
      batch.push(write);
    }
    this.#waiting = [];
    void this.#send(batch);
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const keys = [...this.#fixedKeys];
    const args: Argument[] = [...this.#fixedArgs];
    for (const write of batch) {
      for (const key of write.keys) keys.push(key);
      for (const arg of write.args) args.push(arg);
    }
    try {
      const replies = (await this.#redis.runRaw(writeScript, keys, args, {
        route: this.#tag,
        repeatable: batch.every(({ repeatable }) => repeatable),
        giveUp: () => {
          for (const { signal, repeatable, reject } of batch) {
            if (signal?.aborted !== true) continue;
            reject(toComponentError(new Abandoned(signal.reason, true), { write: true, repeatable }));
          }
        },
      })) as readonly WriteReply[];
      for (const [index, { resolve }] of batch.entries()) resolve(replies[index] as WriteReply);
    } catch (error) {
      if (kindOf(error) === "OOM" && batch.length > 1) {
        // Nothing of it was done, but alone some of it can be: a deletion needs no memory.
        for (const write of batch) void this.#send([write]);
        return;
      }
      for (const { repeatable, reject } of batch) reject(toComponentError(error, { write: true, repeatable }));
    }
  }
}

const verbs = { set: "s", delete: "d", check: "c" } as const;
const conditions = { etag: "e", absent: "a", exists: "x" } as const;

/** What the write script gets for one operation. */
function pushOperation(args: Argument[], operation: StateOperation): void {
  const { type, precondition } = operation;
  let what = verbs[type] + (precondition === undefined ? "n" : conditions[precondition.type]);
  if (type === "set" && operation.ttlMs !== undefined) what += String(operation.ttlMs);
  if (precondition?.type === "etag") what += `=${precondition.etag}`;
  args.push(what, type === "set" ? encodePayload(operation.contentType, operation.value) : "");
}

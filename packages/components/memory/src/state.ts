import { randomBytes } from "node:crypto";
import {
  type Clock,
  ComponentError,
  type Durability,
  requirePublishable,
  type StateCall,
  type StateChange,
  type StateFeature,
  type StateItem,
  type StateOperation,
  type StatePrecondition,
  type StateResult,
  type StateStore,
} from "@mecha/component";
import type { MemoryConfig } from "./config.js";
import { ExpiryQueue } from "./expiry-queue.js";
import { type Entry, Keyspace } from "./keyspace.js";
import type { Publisher } from "./pubsub.js";
import { RequestIds, rememberedBytes } from "./request-ids.js";
import { watchKeyspace } from "./watch.js";

export const features: readonly StateFeature[] = ["TRANSACT", "WATCH", "TTL", "OUTBOX"];
export const durability = "PROCESS" satisfies Durability;

/** What an entry takes beside its key and value, in bytes; measured at about 400 with its place in the map and the order. */
const entryBytes = 400;

type WriteCall = Parameters<StateStore["write"]>[0];
type SetOperation = StateOperation & { readonly type: "set" };

/** Makes an empty store; `publisher` publishes what its transactions do. */
export function createMemoryStore(
  config: MemoryConfig,
  clock: Clock,
  publisher: Publisher,
): StateStore & { close(): void } {
  return new MemoryStore(config, clock, publisher);
}

/**
 * Everything happens at once, within one turn of the event loop, so every call is a snapshot and every write is serial. Before a call looks
 * at anything, what has expired is taken out: no other place has to think of it.
 */
class MemoryStore implements StateStore {
  readonly features = features;
  readonly durability = durability;
  /** In every etag and resume token, so that those of an earlier process are none of this one's. */
  readonly #instance = randomBytes(8).toString("base64url");
  readonly #spaces = new Map<string, Keyspace>();
  readonly #requestIds = new RequestIds();
  readonly #expiring = new ExpiryQueue<Entry>();
  readonly #config: MemoryConfig;
  readonly #clock: Clock;
  readonly #publisher: Publisher;
  #revision = 0;
  #itemBytes = 0;
  #closed: boolean = false;
  #cancelTimer: () => void = () => {};
  #timerTime = Number.POSITIVE_INFINITY;

  constructor(config: MemoryConfig, clock: Clock, publisher: Publisher) {
    this.#config = config;
    this.#clock = clock;
    this.#publisher = publisher;
  }

  get(call: StateCall & { readonly key: string }): StateItem | undefined {
    return this.#begin(call).find(call.key)?.item;
  }

  getMany(call: StateCall & { readonly keys: readonly string[]; readonly maxBytes: number }): StateItem[] {
    const space = this.#begin(call);
    const items: StateItem[] = [];
    let bytes = 0;
    for (const key of call.keys) {
      const item = space.find(key)?.item;
      if (item === undefined) continue;
      bytes += item.value.byteLength;
      if (bytes > call.maxBytes) {
        throw new ComponentError(
          "TOO_LARGE",
          `the values are more than ${call.maxBytes} bytes together; ask for fewer keys`,
          {
            metadata: { limit_bytes: String(call.maxBytes) },
          },
        );
      }
      items.push(item);
    }
    return items;
  }

  list(call: Parameters<StateStore["list"]>[0]): { items: StateItem[]; more: boolean } {
    const space = this.#begin(call);
    const items: StateItem[] = [];
    let bytes = 0;
    for (const { item } of space.list(call.prefix, call.after)) {
      if (!call.keysOnly) bytes += item.value.byteLength;
      if (items.length >= call.limit || (bytes > call.maxBytes && items.length > 0)) return { items, more: true };
      items.push(call.keysOnly ? { ...item, value: noBytes } : item);
    }
    return { items, more: false };
  }

  write(call: WriteCall): StateResult[] {
    // Reads do not ask: for a caller that is gone they do no harm, and the runtime makes a signal only when it is asked for.
    call.signal?.throwIfAborted();
    const space = this.#begin(call);
    const { keyspace, operations, publishes = [], requestId } = call;
    const now = this.#clock.now();
    this.#requestIds.forget(now);
    const answered = requestId && this.#requestIds.find(keyspace, requestId);
    if (answered !== undefined) return answered;

    requirePublishable(publishes, (entry) => this.#publisher.faultOf(entry));
    let growth = requestId === undefined ? 0 : rememberedBytes(keyspace, requestId, operations.length);
    for (const [index, operation] of operations.entries()) {
      const item = space.find(operation.key)?.item;
      requireHolds(operation.precondition, item, operation.key, index);
      if (operation.type === "set") growth += bytesOf(operation);
      if (operation.type !== "check" && item !== undefined) growth -= bytesOf(item);
    }
    this.#requireRoom(growth);

    const results = operations.map((operation) => this.#apply(space, operation, now));
    for (const publish of publishes) this.#publisher.publish(publish.keyspace, publish.entry);
    this.#watchClock();
    if (requestId !== undefined) this.#requestIds.remember(keyspace, requestId, results, now);
    return results;
  }

  async *watch(call: Parameters<StateStore["watch"]>[0]): AsyncGenerator<readonly StateChange[]> {
    if (call.signal.aborted) return;
    const space = this.#begin(call);
    const revision = () => {
      if (this.#closed) return undefined;
      this.#expire();
      return this.#revision;
    };
    yield* watchKeyspace({ space, instance: this.#instance, revision }, call);
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    for (const space of this.#spaces.values()) space.waiters.wakeAll();
  }

  /** What every call begins with. */
  #begin(call: StateCall): Keyspace {
    if (this.#closed) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
    this.#expire();
    return this.#space(call.keyspace);
  }

  #space(name: string): Keyspace {
    const found = this.#spaces.get(name);
    if (found !== undefined) return found;
    const space = new Keyspace(this.#config.history);
    this.#spaces.set(name, space);
    return space;
  }

  #apply(space: Keyspace, operation: StateOperation, now: number): StateResult {
    if (operation.type === "check") return { type: "check" };
    const entry = space.find(operation.key);
    if (operation.type === "delete") {
      if (entry?.item === undefined) return { type: "delete", existed: false };
      this.#drop(entry, false);
      return { type: "delete", existed: true };
    }
    if (entry?.item !== undefined) this.#forget(entry, entry.item);
    const { key, contentType, ttlMs } = operation;
    const revision = ++this.#revision;
    const etag = `${this.#instance}.${revision.toString(36)}`;
    const expireTime = ttlMs === undefined ? undefined : now + ttlMs;
    const item: StateItem = { key, value: own(operation.value), contentType, etag, expireTime, updateTime: now };
    const written = space.put(item, revision);
    this.#itemBytes += bytesOf(item);
    if (expireTime !== undefined) this.#expiring.add(written);
    space.waiters.wake(key);
    return { type: "set", etag };
  }

  #drop(entry: Entry, expired: boolean): void {
    if (entry.item !== undefined) this.#forget(entry, entry.item);
    entry.space.remove(entry, ++this.#revision, expired);
    entry.space.waiters.wake(entry.key);
  }

  /** Takes an item that goes out of the books. */
  #forget(entry: Entry, item: StateItem): void {
    this.#itemBytes -= bytesOf(item);
    if (item.expireTime !== undefined) this.#expiring.remove(entry);
  }

  #requireRoom(growth: number): void {
    const { maxBytes } = this.#config;
    if (growth <= 0 || this.#itemBytes + this.#requestIds.bytes + growth <= maxBytes) return;
    throw new ComponentError(
      "STORAGE_FULL",
      `the memory component is full: maxBytes is ${maxBytes}; delete something or raise it`,
      {
        metadata: { limit_bytes: String(maxBytes) },
      },
    );
  }

  /** Takes out what has expired. */
  #expire(): void {
    const first = this.#expiring.first;
    if (first === undefined || first.expireTime > this.#clock.now()) return;
    const now = this.#clock.now();
    for (
      let entry: Entry | undefined = first;
      entry !== undefined && entry.expireTime <= now;
      entry = this.#expiring.first
    ) {
      this.#drop(entry, true);
    }
    this.#watchClock();
  }

  /** Sees to it that what expires is taken out and reported even if nobody calls. */
  #watchClock(): void {
    const time = this.#expiring.first?.expireTime ?? Number.POSITIVE_INFINITY;
    if (time === this.#timerTime) return;
    this.#cancelTimer();
    this.#timerTime = time;
    if (time === Number.POSITIVE_INFINITY) return;
    this.#cancelTimer = this.#clock.after(time - this.#clock.now(), () => {
      this.#timerTime = Number.POSITIVE_INFINITY;
      this.#expire();
      // A timer may come a moment before its time.
      this.#watchClock();
    });
  }
}

const noBytes = new Uint8Array();

const bytesOf = ({ key, value, contentType }: StateItem | SetOperation) =>
  entryBytes + key.length + value.byteLength + contentType.length;

/** A value may be a view of the whole message that it came in; a small one must not keep a large one in memory. */
function own(value: Uint8Array): Uint8Array {
  return value.buffer.byteLength > 2 * value.byteLength + 1024 ? new Uint8Array(value) : value;
}

function requireHolds(
  precondition: StatePrecondition | undefined,
  item: StateItem | undefined,
  key: string,
  index: number,
): void {
  if (precondition === undefined) return;
  const metadata = { key, operation_index: String(index) };
  switch (precondition.type) {
    case "etag":
      if (item?.etag === precondition.etag) return;
      throw new ComponentError("ETAG_MISMATCH", `key ${JSON.stringify(key)} has changed: read it again`, { metadata });
    case "absent":
      if (item === undefined) return;
      throw new ComponentError("ALREADY_EXISTS", `key ${JSON.stringify(key)} exists already`, { metadata });
    case "exists":
      if (item !== undefined) return;
      throw new ComponentError("NOT_EXISTS", `key ${JSON.stringify(key)} does not exist`, { metadata });
  }
}

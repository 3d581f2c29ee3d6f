import type { Durability } from "../durability.js";
import type { PubSubEntry } from "../pubsub/interface.js";
import type { StateFeature } from "./features.js";

/** A value now or a promise of it: a store that can answer at once does, and costs no turn of the event loop. */
export type Awaitable<T> = T | Promise<T>;

/** One key and what is stored under it. Times are ms since the Unix epoch, by the component's clock. */
export interface StateItem {
  readonly key: string;
  /** Given away: neither side changes it afterwards. Empty with `keysOnly`. */
  readonly value: Uint8Array;
  readonly contentType: string;
  /** Opaque and never used again for its key. */
  readonly etag: string;
  readonly expireTime: number | undefined;
  readonly updateTime: number;
}

/** What must be true of a key. */
export type StatePrecondition =
  | { readonly type: "etag"; readonly etag: string }
  | { readonly type: "absent" }
  | { readonly type: "exists" };

/** One write or check. The runtime has validated it: keys, sizes, and that a key stands in one operation only. */
export type StateOperation =
  | {
      readonly type: "set";
      readonly key: string;
      readonly value: Uint8Array;
      readonly contentType: string;
      /** How long it lives, in whole ms; undefined: for ever. Only with feature TTL. */
      readonly ttlMs: number | undefined;
      readonly precondition: StatePrecondition | undefined;
    }
  | { readonly type: "delete"; readonly key: string; readonly precondition: StatePrecondition | undefined }
  | { readonly type: "check"; readonly key: string; readonly precondition: StatePrecondition };

/** An event to publish with a write. The runtime has validated it as it does for {@link PubSub.publish}. */
export interface StatePublish {
  /** The part of the component's own pubsub that its topic is in, as `GroupCall.keyspace` has it. Another one than the write's. */
  readonly keyspace: string;
  readonly entry: PubSubEntry;
}

/** What one operation did. */
export type StateResult =
  | { readonly type: "set"; readonly etag: string }
  | { readonly type: "delete"; readonly existed: boolean }
  | { readonly type: "check" };

/** Makes a write safe to send again. */
export interface StateRequestId {
  readonly id: string;
  /** A digest of the request: the same id with another digest is BAD_REQUEST. */
  readonly fingerprint: string;
}

/** One thing a watch reports; `resumeToken` says where to go on after it. */
export type StateChange =
  | { readonly type: "item"; readonly item: StateItem; readonly resumeToken: string }
  | { readonly type: "deleted"; readonly key: string; readonly expired: boolean; readonly resumeToken: string }
  | { readonly type: "synced"; readonly resumeToken: string };

/** What every call carries. */
export interface StateCall {
  /** The part of the store that the caller sees: every key is unique within it. At most 256 bytes of `[a-z0-9/_.-]`. */
  readonly keyspace: string;
  /**
   * Aborts when the caller is gone or its deadline passed. A call that finds it aborted does nothing and rejects with its reason; one that is
   * under way settles soon: with an answer, with that reason, or, for a write that may have been done, OUTCOME_UNKNOWN. It is made when it is
   * asked for, which costs more than a read that answers at once: such a read need not ask.
   */
  readonly signal?: AbortSignal;
}

/**
 * A state store. Every rule of `mecha.state.v1` that names no runtime is the store's to keep, and `@mecha/component/conformance`
 * proves it. Failures are ComponentErrors: while the infrastructure is away COMPONENT_UNAVAILABLE (nothing was done) or OUTCOME_UNKNOWN (a
 * write that may have been done).
 */
export interface StateStore {
  readonly features: readonly StateFeature[];
  /** What an answered write survives, as configured. */
  readonly durability: Durability;

  /** Reads one item, linearizably; undefined if it is absent or past its expiry. */
  get(call: StateCall & { readonly key: string }): Awaitable<StateItem | undefined>;

  /**
   * Reads many items in one snapshot, in the order of `keys` (distinct, at most 1000), absent ones left out. More than `maxBytes` of values is
   * TOO_LARGE, told without loading them all.
   */
  getMany(call: StateCall & { readonly keys: readonly string[]; readonly maxBytes: number }): Awaitable<StateItem[]>;

  /**
   * Does all operations or none, strictly serializable; answers when durable, with a result per operation. One operation is a Set or a
   * Delete; several need feature TRANSACT. A precondition that does not hold throws ETAG_MISMATCH, ALREADY_EXISTS or NOT_EXISTS with
   * `metadata: { key, operation_index }` of the lowest failing operation.
   *
   * With feature OUTBOX a write also publishes `publishes`, in their order, by the component's own pubsub: in the same transaction, so that from
   * the commit on they are what `PubSub.publish` would have made of them, and without one they never were. There may then be no operation.
   * One that cannot be published (see {@link requirePublishable}) refuses all, with its error and `metadata: { publish_index }`.
   */
  write(
    call: StateCall & {
      readonly operations: readonly StateOperation[];
      readonly publishes?: readonly StatePublish[];
      readonly requestId: StateRequestId | undefined;
    },
  ): Awaitable<StateResult[]>;

  /**
   * Lists items whose key begins with `prefix` and comes after `after`, in unsigned byte order of their UTF-8: at most `limit` of them and
   * at most `maxBytes` of values (but one item at least). `more` says whether another may follow.
   */
  list(
    call: StateCall & {
      readonly prefix: string;
      readonly after: string | undefined;
      readonly limit: number;
      readonly maxBytes: number;
      readonly keysOnly: boolean;
    },
  ): Awaitable<{ readonly items: StateItem[]; readonly more: boolean }>;

  /**
   * Reports what is there (or what changed since `resumeToken`), then `synced`, then changes, in batches, until `signal` aborts or the component
   * closes; then it ends, without an error. A token too old throws RESUME_EXPIRED, one that this store did not give for this keyspace and
   * target BAD_REQUEST (see `resumeTokens`). It buffers a bounded number of keys, not of changes: changes to one key coalesce.
   *
   * Every token is good to go on from, those of what was there too: what was reported before it and changed or was deleted since is
   * reported again. Needs feature WATCH.
   */
  watch(
    call: StateCall & {
      readonly target: { readonly key: string } | { readonly prefix: string };
      readonly resumeToken: string | undefined;
      readonly signal: AbortSignal;
    },
  ): AsyncIterable<readonly StateChange[]>;
}

import type { DeliverySource } from "../delivery/interface.js";
import type { Durability } from "../durability.js";
import type { ComponentError } from "../errors.js";
import type { Awaitable } from "../state/interface.js";
import type { PubSubFeature } from "./features.js";

/** One event to publish. The runtime has validated it; what is not served was refused before. */
export interface PubSubEntry {
  readonly topic: string;
  /** With `id`, what identifies the event. */
  readonly source: string;
  readonly id: string;
  /** The event as the group will receive it: an encoded `mecha.pubsub.v1.Event`. Given away; components do not look inside. */
  readonly payload: Uint8Array;
  /** Empty: no order. */
  readonly orderingKey: string;
  /** Deliver no sooner than this from now, in ms; 0: at once. Only with DELAY. */
  readonly delayMs: number;
  /** Drop when not delivered within this from now, in ms; undefined: as long as events are retained. Only with TTL. */
  readonly ttlMs: number | undefined;
  /** What is special to the component; it refuses unknown keys with BAD_REQUEST. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** What became of an entry. */
export type PublishOutcome =
  | { readonly type: "published"; readonly duplicate: boolean }
  | { readonly type: "failed"; readonly error: ComponentError };

/** Where a new group begins: with what is published from now on, with the oldest retained, or with a time (ms since the epoch). */
export type GroupStart =
  | { readonly type: "new" }
  | { readonly type: "earliest" }
  | { readonly type: "time"; readonly time: number };

/** What belongs to a group. Components store it whole; `ordered` and `start` are theirs to honour, the rest is the delivery engine's. */
export interface GroupSettings {
  /** A CEL expression; empty matches all. */
  readonly filter: string;
  readonly ordered: boolean;
  readonly start: GroupStart;
  readonly maxAttempts: number;
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly ackTimeoutMs: number;
}

/** A group of consumers of a topic. */
export interface GroupCall {
  /**
   * The part of the component that the caller sees: a namespace, or, for what the runtime keeps there for an app, a state keyspace. Topics are
   * unique within it. At most 256 bytes of `[a-z0-9/_.-]`.
   */
  readonly keyspace: string;
  readonly topic: string;
  /** Unique within its topic and keyspace; bears the app id: "shop/mail". */
  readonly group: string;
}

/** An event that was given up for a group. */
export interface DeadLetter {
  /** Opaque; at most 256 characters of `[A-Za-z0-9._-]`. Sorts by age. */
  readonly id: string;
  readonly payload: Uint8Array;
  readonly orderingKey: string;
  readonly attempts: number;
  readonly lastError: string;
  /** When it was given up, ms since the epoch. */
  readonly time: number;
}

/**
 * A pubsub. What an answered publish survives is its durability; from then on every group that existed when it was published is delivered it at
 * least once, and under `ordered` first deliveries of one ordering key come in publish order, one at a time. A group exists from
 * `openGroup` until it is deleted, whether somebody consumes or not.
 */
export interface PubSub {
  readonly features: readonly PubSubFeature[];
  readonly durability: Durability;
  /** The largest payload it takes, in bytes. */
  readonly maxEventBytes: number;

  /**
   * Publishes entries, in order; resolves when all that succeeded are durable, with an outcome per entry. After an entry that failed, later
   * ones with its topic and ordering key fail too (EARLIER_FAILED). Throws only if nothing was published.
   */
  publish(call: {
    readonly keyspace: string;
    readonly entries: readonly PubSubEntry[];
    readonly signal?: AbortSignal;
  }): Awaitable<readonly PublishOutcome[]>;

  /**
   * Makes a group, or finds it. The first call stores `settings`; one that differs throws GROUP_MISMATCH naming the fields (metadata
   * `fields`), unless `update`, which changes all but `ordered` and `start`. Resolves with what is in effect.
   *
   * @param call.settings undefined: those the group has; a new one gets `defaults`.
   */
  openGroup(
    call: GroupCall & {
      readonly settings: GroupSettings | undefined;
      readonly defaults: GroupSettings;
      readonly update: boolean;
      readonly signal?: AbortSignal;
    },
  ): Awaitable<GroupSettings>;

  /** What a group has in effect, or undefined if there is no such group. */
  settingsOf(call: GroupCall): Awaitable<GroupSettings | undefined>;

  /**
   * Forgets a group, with what waits for it and its dead letters; resolves with whether there was one. Its consumers, in this process and
   * others, get nothing more and can settle nothing. Opened again it is a new group.
   */
  deleteGroup(call: GroupCall): Awaitable<boolean>;

  /**
   * How many events a group has waiting (due or not, held back by their key, expired but not passed over) or leased; dead letters aside, and
   * whatever its filter. 0 for a group that does not exist. A broker may report it some seconds late, and leave out what other processes have
   * leased; a component with OUTBOX is exact.
   */
  backlog(call: GroupCall): Awaitable<number>;

  /** Consumes for a group that exists. Several consumers of a group, in this process and others, share its events. */
  consume(call: GroupCall): DeliverySource;

  /** Lists a group's dead letters (none of a group that does not exist), oldest first, after the id `after`: at most `limit` and `maxBytes` (but one at least). */
  listDeadLetters(
    call: GroupCall & { readonly after: string | undefined; readonly limit: number; readonly maxBytes: number },
  ): Awaitable<{ readonly deadLetters: readonly DeadLetter[]; readonly more: boolean }>;

  /** Delivers dead letters again with a fresh count of attempts; resolves with how many there were. `ids` undefined: all. */
  requeueDeadLetters(call: GroupCall & { readonly ids: readonly string[] | undefined }): Awaitable<number>;

  /** Forgets dead letters; resolves with how many there were. `ids` undefined: all. */
  dropDeadLetters(call: GroupCall & { readonly ids: readonly string[] | undefined }): Awaitable<number>;
}

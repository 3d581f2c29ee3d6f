import type { MessageInitShape } from "@bufbuild/protobuf";
import type { PreconditionSchema } from "@mecha/api/state";
import { badRequest, type CallOptions, type Duration, toDuration } from "@mecha/client";

/** What every call to the state block takes. */
export interface StateCallOptions extends CallOptions {
  /** The state component. Default: the collection's, else the client's, else the runtime's default. */
  store?: string;
}

/** What every write takes. */
export interface WriteOptions extends StateCallOptions {
  /**
   * Makes the write safe to send again, for 10 minutes: the same id returns the first answer instead of writing twice, so the client also tries
   * again when it cannot know whether the write was done. At most 128 bytes. Default: none (see `retryWrites`).
   */
  requestId?: string;
}

/** What must be true of a key; exactly one. */
export type Precondition =
  | {
      /** The item must have this etag, else `ETAG_MISMATCH`. Passing `undefined` is an error: a check that got lost would lose an update. */
      ifMatch: string;
      ifAbsent?: never;
      ifExists?: never;
    }
  | {
      /** The key must be absent, else `ALREADY_EXISTS`. */
      ifAbsent: true;
      ifMatch?: never;
      ifExists?: never;
    }
  | {
      /** The key must be present, else `NOT_EXISTS`. */
      ifExists: true;
      ifMatch?: never;
      ifAbsent?: never;
    };

/** No precondition: the last write wins. */
interface Unconditional {
  ifMatch?: never;
  ifAbsent?: never;
  ifExists?: never;
}

/** How long an item lives. */
export interface Expiry {
  /** How long the item lives from now, in ms or as `"10m"`: 1 ms to 10 years. Default: for ever, also when an earlier write said otherwise. */
  ttl?: Duration;
}

/** What a write of one item depends on; at most one precondition. */
export type SetCondition = Expiry & (Precondition | Unconditional);

/** What a deletion depends on. */
export type DeleteCondition = Exclude<Precondition, { ifAbsent: true }> | Unconditional;

export type SetOptions = WriteOptions & SetCondition;
export type DeleteOptions = WriteOptions & DeleteCondition;

/** The precondition among `options`. One that is there without a value is an error, not no precondition. */
export function toPrecondition(
  options: Precondition | Unconditional,
): { precondition: MessageInitShape<typeof PreconditionSchema> } | undefined {
  const [name, second] = (["ifMatch", "ifAbsent", "ifExists"] as const).filter((name) => name in options);
  if (name === undefined) return undefined;
  if (second !== undefined) throw badRequest(second, `cannot be combined with ${name}; pass one of them`);
  if (name === "ifMatch") {
    const { ifMatch } = options;
    if (typeof ifMatch !== "string" || ifMatch === "") {
      throw badRequest(
        name,
        `must be an item's etag, is ${JSON.stringify(ifMatch)}; leave it out to write whatever is there`,
      );
    }
    return { precondition: { condition: { case: "etag", value: ifMatch } } };
  }
  if (options[name] !== true) throw badRequest(name, `must be true, is ${String(options[name])}; leave it out instead`);
  return { precondition: { condition: { case: name === "ifAbsent" ? "absent" : "exists", value: true } } };
}

export function toTtl({
  ttl,
}: Expiry): { ttl: MessageInitShape<typeof import("@bufbuild/protobuf/wkt").DurationSchema> } | undefined {
  return ttl === undefined ? undefined : { ttl: toDuration(ttl, "ttl") };
}

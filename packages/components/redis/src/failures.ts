import { ComponentError, type Reason } from "@mecha/component";
import { ErrorReply } from "@redis/client";

/** A command without an answer: the connection was away, broke, or hung. */
export class NoReply extends Error {
  constructor(
    message: string,
    /** Whether the server may have got the command, and so may have done it. */
    readonly sent: boolean,
    /** When trying again may help, in ms from now. */
    readonly retryAfterMs: number,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/** A command whose caller has gone. */
export class Abandoned extends Error {
  constructor(
    /** Why: the reason of the caller's signal. */
    readonly reason: unknown,
    /** As of {@link NoReply}. */
    readonly sent: boolean,
  ) {
    super("the caller has gone");
  }
}

/** Redis' refusals that are no bug of ours: the first word of the reply, what it means to a caller, and what to do. Nothing was done. */
const refusals: Readonly<Record<string, { reason: Reason; words: string; retryAfterMs?: number }>> = {
  OOM: { reason: "STORAGE_FULL", words: "Redis has used up its maxmemory; raise it or delete data" },
  MISCONF: { reason: "STORAGE_FULL", words: "Redis cannot persist and takes no writes; look at its disk and its log" },
  LOADING: { reason: "COMPONENT_UNAVAILABLE", words: "Redis is loading its data", retryAfterMs: 1000 },
  BUSY: { reason: "COMPONENT_UNAVAILABLE", words: "Redis is busy with somebody's script", retryAfterMs: 1000 },
  READONLY: { reason: "COMPONENT_UNAVAILABLE", words: "this Redis has become a replica", retryAfterMs: 1000 },
  MASTERDOWN: {
    reason: "COMPONENT_UNAVAILABLE",
    words: "this Redis is a replica without its primary",
    retryAfterMs: 1000,
  },
  NOREPLICAS: {
    reason: "COMPONENT_UNAVAILABLE",
    words: "Redis has too few replicas to take writes",
    retryAfterMs: 1000,
  },
  CLUSTERDOWN: { reason: "COMPONENT_UNAVAILABLE", words: "the Redis Cluster is down", retryAfterMs: 1000 },
  TRYAGAIN: { reason: "COMPONENT_UNAVAILABLE", words: "the Redis Cluster is moving this data", retryAfterMs: 200 },
  MOVED: { reason: "COMPONENT_UNAVAILABLE", words: "the Redis Cluster is moving this data", retryAfterMs: 200 },
  ASK: { reason: "COMPONENT_UNAVAILABLE", words: "the Redis Cluster is moving this data", retryAfterMs: 200 },
  NOAUTH: { reason: "COMPONENT_UNAVAILABLE", words: "Redis asks for a password; configure `password`" },
  WRONGPASS: { reason: "COMPONENT_UNAVAILABLE", words: "Redis refused the username or the password" },
  NOPERM: { reason: "COMPONENT_UNAVAILABLE", words: "Redis forbids this user a command or a key; look at its ACL" },
};

/** The kind of an error reply: its first word. A script that meets a key which has just moved away says so in words of its own. */
export function kindOf(error: unknown): string | undefined {
  if (!(error instanceof ErrorReply)) return undefined;
  return error.message.includes("access a non local key") ? "TRYAGAIN" : error.message.split(" ", 1)[0];
}

/** How a call is to fail when its command had no answer. */
export interface FailureContext {
  /** Whether the command may change something. */
  readonly write: boolean;
  /** Whether doing it twice is the same as doing it once, so that its caller can simply send it again. */
  readonly repeatable: boolean;
}

/** What a caller is told about a failed command; anything that is not Redis' own doing is handed on as it is: a bug. */
export function toComponentError(error: unknown, { write, repeatable }: FailureContext): unknown {
  if (error instanceof Abandoned) {
    if (!error.sent || !write || repeatable) return error.reason;
    return new ComponentError(
      "OUTCOME_UNKNOWN",
      "the caller's time was up before Redis answered; the write may have been done",
      {
        cause: error.reason,
      },
    );
  }
  if (error instanceof NoReply) {
    const options = { retryAfterMs: error.retryAfterMs, cause: error };
    if (!error.sent || !write) return new ComponentError("COMPONENT_UNAVAILABLE", error.message, options);
    return repeatable
      ? new ComponentError("COMPONENT_UNAVAILABLE", `${error.message}; sent again as it is, it is done once`, options)
      : new ComponentError("OUTCOME_UNKNOWN", `${error.message}; the write may have been done`, { cause: error });
  }
  const refusal = refusals[kindOf(error) ?? ""];
  if (refusal === undefined) return error;
  const { reason, words, retryAfterMs } = refusal;
  return new ComponentError(reason, words, { cause: error, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/**
 * Every reason a call may fail for, and the Connect code it is answered with (contracts: "Errors"). The list is open: a block adds
 * its reasons here, and one reason has one code.
 */
export const reasons = {
  BAD_REQUEST: "invalid_argument",
  COMPONENT_NOT_FOUND: "not_found",
  BLOCK_NOT_SERVED: "unimplemented",
  FEATURE_NOT_SERVED: "unimplemented",
  OUT_OF_SCOPE: "permission_denied",
  BAD_TOKEN: "unauthenticated",
  FOREIGN_ORIGIN: "permission_denied",
  TARGET_REFUSED: "permission_denied",
  ETAG_MISMATCH: "aborted",
  ALREADY_EXISTS: "already_exists",
  NOT_EXISTS: "failed_precondition",
  TOO_LARGE: "resource_exhausted",
  RATE_LIMITED: "resource_exhausted",
  STORAGE_FULL: "resource_exhausted",
  STORAGE_CORRUPT: "data_loss",
  COMPONENT_UNAVAILABLE: "unavailable",
  COMPONENT_REPLACED: "unavailable",
  OUTCOME_UNKNOWN: "unknown",
  ACCESS_DENIED: "permission_denied",
  APP_NOT_FOUND: "not_found",
  APP_UNAVAILABLE: "unavailable",
  TOO_MANY_HOPS: "failed_precondition",
  RESUME_EXPIRED: "out_of_range",
  GROUP_MISMATCH: "failed_precondition",
  EARLIER_FAILED: "aborted",
  DEADLINE_EXCEEDED: "deadline_exceeded",
  CANCELED: "canceled",
} as const;

/** Why a call failed. */
export type Reason = keyof typeof reasons;

/** What a {@link ComponentError} carries beside its message. */
export interface ComponentErrorOptions {
  /** What it happened to: names, limits, indexes. Becomes ErrorInfo.metadata, so never a secret. */
  metadata?: Record<string, string>;
  /** When waiting helps: for how long, in ms. Becomes RetryInfo. */
  retryAfterMs?: number;
  /** For BAD_REQUEST: the fields that are wrong. Becomes BadRequest. */
  violations?: { field: string; description: string }[];
  /** What caused it; logged, never sent to the caller. */
  cause?: unknown;
}

/**
 * An error that its caller can act on. The message says what happened, to what, and what to do; it reaches the caller as it is, so
 * it names no path, stack or secret. Anything else that a component throws is a bug and reaches the caller as INTERNAL.
 */
export class ComponentError extends Error {
  override readonly name = "ComponentError";
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;
  readonly violations: readonly { field: string; description: string }[];

  constructor(reason: Reason, message: string, options: ComponentErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
    this.violations = options.violations ?? [];
  }

  /** Structural, so that it survives two copies of this package (a third party's component brings its own). */
  static override [Symbol.hasInstance](value: unknown): value is ComponentError {
    return value instanceof Error && value.name === "ComponentError" && "reason" in value && "metadata" in value;
  }
}

import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@mecha/api/rpc";
import { connectionTrouble } from "./connection-trouble.js";

/** The code of a failed call, as Connect spells it on the wire. https://connectrpc.com/docs/protocol/#error-codes */
export type ErrorCode =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

/** One field that is wrong, and what would be right. */
export interface Violation {
  /** The path of the field: "operations[3].set.key", or "items[0].price" within a value. */
  readonly field: string;
  readonly description: string;
}

/** What a {@link MechaError} carries beside its message. */
export interface MechaErrorOptions {
  code: ErrorCode;
  reason: string;
  metadata?: Readonly<Record<string, string>>;
  retryAfter?: number | undefined;
  violations?: readonly Violation[];
  cause?: unknown;
}

/**
 * The one error that every Mecha client throws. The message says what happened and what to do; a program branches on `reason`:
 *
 * ```
 * catch (error) {
 *   if (error instanceof MechaError && error.reason === "ETAG_MISMATCH") …
 * }
 * ```
 */
export class MechaError extends Error {
  override readonly name = "MechaError";
  /** The kind of failure, for everything that treats failures alike. */
  readonly code: ErrorCode;
  /**
   * Why the call failed, in UPPER_SNAKE_CASE: `ETAG_MISMATCH`, `BAD_REQUEST` … Each block documents its own; one reason always has one code.
   * The client adds `RUNTIME_UNAVAILABLE` (the runtime cannot be reached), `OUTCOME_UNKNOWN` (it may have been done), `INVALID_VALUE` (what is
   * stored does not fit the schema). Where nothing more is known it is the code in capitals.
   */
  readonly reason: string;
  /** What it happened to: names, limits, indexes; each key is documented with its reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** When waiting helps: for how long, in ms. */
  readonly retryAfter: number | undefined;
  /** For `BAD_REQUEST` and `INVALID_VALUE`: every field that is wrong. */
  readonly violations: readonly Violation[];

  constructor(message: string, options: MechaErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.reason = options.reason;
    this.metadata = options.metadata ?? {};
    this.retryAfter = options.retryAfter;
    this.violations = options.violations ?? [];
  }

  /** Any caught value as a MechaError: itself if it is one, else with the value as its `cause`. */
  static from(error: unknown): MechaError {
    if (error instanceof MechaError) return error;
    if (error instanceof ConnectError) return fromConnectError(error);
    const [name, message] = error instanceof Error ? [error.name, error.message] : ["", String(error)];
    if (name === "AbortError") return new MechaError(message, { code: "canceled", reason: "CANCELED", cause: error });
    if (name === "TimeoutError") {
      return new MechaError(message, { code: "deadline_exceeded", reason: "DEADLINE_EXCEEDED", cause: error });
    }
    return new MechaError(message, { code: "unknown", reason: "UNKNOWN", cause: error });
  }

  /** Structural, so that it survives two copies of this package. */
  static override [Symbol.hasInstance](value: unknown): value is MechaError {
    return (
      value instanceof Error &&
      value.name === "MechaError" &&
      "code" in value &&
      "reason" in value &&
      "metadata" in value &&
      "violations" in value
    );
  }
}

/** A request that cannot be sent, refused before it is: the same error as the runtime would give. */
export function badRequest(field: string, description: string, cause?: unknown): MechaError {
  return new MechaError(`${field}: ${description}`, {
    code: "invalid_argument",
    reason: "BAD_REQUEST",
    violations: [{ field, description }],
    cause,
  });
}

/** What a call throws when something is wrong with the connection rather than with the call. */
export function runtimeUnavailable(message: string, cause?: unknown): MechaError {
  return new MechaError(message, { code: "unavailable", reason: "RUNTIME_UNAVAILABLE", cause });
}

/** What a call throws when the caller's signal ended it, whatever the reason the caller gave. */
export function abortError(signal: AbortSignal | undefined): MechaError {
  const cause: unknown = signal?.reason;
  return cause instanceof Error && cause.name === "TimeoutError"
    ? new MechaError("the call's signal timed out", { code: "deadline_exceeded", reason: "DEADLINE_EXCEEDED", cause })
    : new MechaError("the caller canceled the call", { code: "canceled", reason: "CANCELED", cause });
}

function fromConnectError(error: ConnectError): MechaError {
  const [info] = error.findDetails(ErrorInfoSchema);
  const trouble = info === undefined ? connectionTrouble(error) : undefined;
  if (trouble === "before") {
    return runtimeUnavailable(`the runtime cannot be reached: ${error.rawMessage}; is it running?`, error);
  }
  if (trouble === "during") return runtimeUnavailable(`the runtime did not answer: ${error.rawMessage}`, error);
  const code = toErrorCode(error.code);
  const [retry] = error.findDetails(RetryInfoSchema);
  const [badRequest] = error.findDetails(BadRequestSchema);
  return new MechaError(error.rawMessage, {
    code,
    reason: info?.reason ?? code.toUpperCase(),
    metadata: info?.metadata ?? {},
    retryAfter:
      retry?.retryDelay && Number(retry.retryDelay.seconds) * 1000 + Math.ceil(retry.retryDelay.nanos / 1_000_000),
    violations: badRequest?.fieldViolations.map(({ field, description }) => ({ field, description })) ?? [],
    cause: error,
  });
}

/** `Code.InvalidArgument` is "invalid_argument". */
function toErrorCode(code: Code): ErrorCode {
  return (Code[code] ?? "Unknown").replace(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase() as ErrorCode;
}

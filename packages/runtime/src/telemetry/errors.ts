import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@mecha/api/rpc";
import { ComponentError, reasons } from "@mecha/component";
import type { RuntimeLogger } from "./logger.js";

/** Who defines the reasons in ErrorInfo. */
const domain = "mecha.dev";

/** The code of each reason: `not_found` is `Code.NotFound`. */
const codes = new Map<string, Code>(
  Object.entries(reasons).map(([reason, code]) => {
    const name = code.replace(/(^|_)([a-z])/g, (_, _underscore, letter: string) => letter.toUpperCase());
    return [reason, Code[name as keyof typeof Code]];
  }),
);

/** A code as the protocols write it: "not_found". */
export function codeName(code: Code): string {
  return Code[code].replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

/** The code that the protocols write so; undefined if none is. */
export function codeOf(name: string): Code | undefined {
  const all = Object.values(Code).filter((value): value is Code => typeof value === "number");
  return all.find((code) => codeName(code) === name);
}

/**
 * The error that a caller gets. A ComponentError carries its reason, violations and delay as google.rpc details; an abort by the caller or its
 * deadline is that; anything else is a bug: the caller gets an id, the log the rest.
 */
export function toConnectError(error: unknown, signal: AbortSignal | undefined, logger: RuntimeLogger): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof ComponentError) return fromComponentError(error);
  if (signal?.aborted && (error === signal.reason || isAbort(error))) {
    const { reason } = signal;
    return reason instanceof ConnectError ? reason : callerGone();
  }
  // What writing to a caller that is gone ends with, in what connect-node serves, maybe before the signal tells.
  if (error instanceof Error && "code" in error && error.code === "ERR_HTTP2_INVALID_STREAM") return callerGone();
  const id = randomUUID();
  logger.error({ err: error, id }, `internal error ${id}`);
  return new ConnectError(`internal error; the runtime's log says more under id ${id}`, Code.Internal, undefined, [
    { desc: ErrorInfoSchema, value: { reason: "INTERNAL", domain, metadata: { id } } },
  ]);
}

/** A ComponentError as it goes over the wire. */
export function fromComponentError(error: ComponentError): ConnectError {
  const { reason, metadata, retryAfterMs, violations } = error;
  const details: ConstructorParameters<typeof ConnectError>[3] = [
    { desc: ErrorInfoSchema, value: { reason, domain, metadata: { ...metadata } } },
  ];
  if (violations.length > 0) details.push({ desc: BadRequestSchema, value: { fieldViolations: [...violations] } });
  if (retryAfterMs !== undefined) {
    const seconds = BigInt(Math.floor(retryAfterMs / 1000));
    const nanos = Math.round((retryAfterMs % 1000) * 1e6);
    details.push({ desc: RetryInfoSchema, value: { retryDelay: { seconds, nanos } } });
  }
  // The cause stays here: it may name paths and secrets.
  return new ConnectError(error.message, codes.get(reason) ?? Code.Unknown, undefined, details);
}

/** What the server refuses before a block sees it (a message that cannot be read, or is too large) with the reason that a block would give. */
export function describeRefusal(error: ConnectError): ConnectError {
  if (error.details.length > 0) return error;
  const reason = refusals.get(error.code);
  if (reason === undefined) return error;
  const [, actual, limit] = overLimit.exec(error.rawMessage) ?? [];
  if (actual === undefined || limit === undefined)
    return fromComponentError(new ComponentError(reason, error.rawMessage));
  const message = `the request is ${actual} bytes; the runtime reads at most ${limit}`;
  const metadata = { limit_bytes: limit, actual_bytes: actual };
  return fromComponentError(new ComponentError(reason, message, { metadata }));
}

/** How the wire says that a message is too large. */
const overLimit = /^message size (\d+) is larger than configured readMaxBytes (\d+)$/;

const refusals = new Map<Code, "BAD_REQUEST" | "TOO_LARGE">([
  [Code.InvalidArgument, "BAD_REQUEST"],
  [Code.ResourceExhausted, "TOO_LARGE"],
]);

function callerGone(): ConnectError {
  return new ConnectError("the caller went away", Code.Canceled);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError");
}

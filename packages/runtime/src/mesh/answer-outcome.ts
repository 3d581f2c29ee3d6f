import type { Outcome } from "../policy/conditions.js";
import type { HeaderMap } from "./headers.js";

/** gRPC's codes by their numbers, as Connect names them (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const codes = [
  undefined,
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
] as const;

/** What an answer says that has just begun: an error of gRPC without a message is in its headers ("trailers-only"). */
export function outcomeOf(status: number, headers: HeaderMap): Outcome {
  return { type: "answer", status, code: codeOf(headers) };
}

/** The error that headers or trailers tell of, if they do. */
export function codeOf(headers: HeaderMap): string | undefined {
  const number = headers["grpc-status"];
  return number === undefined ? undefined : codes[Number(number)];
}

/** Whether an answer tells only at its end how the call went. */
export function tellsAtItsEnd(headers: HeaderMap): boolean {
  return headers["grpc-status"] === undefined && String(headers["content-type"] ?? "").startsWith("application/grpc");
}

/** How long `retry-after` asks to wait, in ms; undefined if it does not say so. */
export function retryAfterMs(headers: HeaderMap, nowMs: number): number | undefined {
  const value = headers["retry-after"];
  if (typeof value !== "string") return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

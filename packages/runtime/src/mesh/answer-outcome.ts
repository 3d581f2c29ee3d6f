import { codes } from "../policy/codes.js";
import type { Outcome } from "../policy/conditions.js";
import type { HeaderMap } from "./headers.js";

/** What an answer says that has just begun: an error of gRPC without a message is in its headers ("trailers-only"). */
export function outcomeOf(status: number, headers: HeaderMap): Outcome {
  return { type: "answer", status, code: codeOf(headers) };
}

/** The error that headers or trailers tell of, if they do. */
export function codeOf(headers: HeaderMap): string | undefined {
  const number = headers["grpc-status"];
  return number === undefined ? undefined : codes[Number(number) - 1];
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

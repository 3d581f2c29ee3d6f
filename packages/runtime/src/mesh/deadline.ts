import type { IncomingHttpHeaders } from "node:http";
import { type Clock, ComponentError } from "@mecha/component";
import { formatDuration } from "../config/duration.js";
import type { HeaderMap } from "./headers.js";

/** How long a call may take, in ms: of any call, beside what gRPC and Connect have for it. */
export const timeoutHeader = "mecha-timeout-ms";

const grpcUnitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** How long whoever sent these headers waits, in ms; undefined if they do not say. */
export function timeoutOf(headers: IncomingHttpHeaders): number | undefined {
  const grpc = headers["grpc-timeout"];
  const connect = headers["connect-timeout-ms"];
  const own = headers[timeoutHeader];
  if (grpc === undefined && connect === undefined && own === undefined) return undefined;
  const [, amount, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(String(grpc ?? "")) ?? [];
  const all = [
    amount === undefined ? undefined : Number(amount) * (grpcUnitsMs[unit] ?? 1),
    millisecondsOf(connect),
    millisecondsOf(own),
  ].filter((each) => each !== undefined);
  return all.length === 0 ? undefined : Math.min(...all);
}

function millisecondsOf(value: string | string[] | undefined): number | undefined {
  return typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}

/** `headers`, with how long the call may still take, as its protocol says it. */
export function withTimeout(headers: HeaderMap, leftMs: number): HeaderMap {
  const ms = Math.max(1, Math.ceil(leftMs));
  const all: HeaderMap = { ...headers, [timeoutHeader]: String(ms) };
  const contentType = String(headers["content-type"] ?? "");
  if (contentType.startsWith("application/grpc")) {
    // At most 8 digits.
    all["grpc-timeout"] = ms < 1e8 ? `${ms}m` : `${Math.ceil(ms / 1000)}S`;
  } else if (headers["connect-protocol-version"] !== undefined || headers["connect-timeout-ms"] !== undefined) {
    all["connect-timeout-ms"] = String(ms);
  }
  return all;
}

/**
 * Calls `expired` after `ms`, once what came meanwhile was read; what it gives back ends the wait. A process that stood still (a machine that
 * was paused, a core that others held) finds its timers before its sockets: it would take answers that have long been there for late, and
 * leave out instances for its own fault.
 */
export function expires(clock: Clock, ms: number, expired: () => void): () => void {
  let reading: NodeJS.Immediate | undefined;
  const cancel = clock.after(ms, () => {
    reading = setImmediate(expired);
  });
  return () => {
    cancel();
    clearImmediate(reading);
  };
}

/** A call that took longer than it may. */
export function tooLong(app: string, ms: number): ComponentError {
  const message = `app "${app}" did not answer within ${formatDuration(ms)}`;
  return new ComponentError("DEADLINE_EXCEEDED", message, { metadata: { app } });
}

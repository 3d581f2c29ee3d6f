import { ComponentError } from "@mecha/component";
import { encodeRefusal } from "@mecha/rpc";
import { toConnectError } from "../telemetry/errors.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { dropRest } from "./body.js";
import type { Inbound } from "./exchange.js";
import type { HeaderMap } from "./headers.js";

/** The HTTP statuses that say more than the one of their code. */
const statuses: Readonly<Record<string, number>> = { TOO_MANY_HOPS: 508, TOO_LARGE: 413 };

/** Answers a call that goes no further: in the form of its protocol, with its reason and, where waiting helps, `retry-after`. */
export function refuse(inbound: Inbound, error: unknown, logger: RuntimeLogger): void {
  const connectError = toConnectError(error, undefined, logger);
  const { status, headers, body } = encodeRefusal(String(inbound.headers["content-type"] ?? ""), connectError);
  const all: HeaderMap = {};
  for (let index = 0; index < headers.length; index += 2) all[headers[index] as string] = headers[index + 1] as string;
  if (error instanceof ComponentError && error.retryAfterMs !== undefined) {
    all["retry-after"] = String(Math.ceil(error.retryAfterMs / 1000));
  }
  const special = error instanceof ComponentError && status !== 200 ? statuses[error.reason] : undefined;
  const isPartlyRead = inbound.hasBody && inbound.whole === undefined && inbound.method !== "CONNECT";
  const content = inbound.method === "HEAD" ? new Uint8Array() : body;
  inbound.respondWhole(special ?? status, { ...all, "cache-control": "no-store" }, content);
  if (isPartlyRead) dropRest(inbound);
}

/** Whether nobody listens where it was sent. */
export const isRefused = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ECONNREFUSED";

/** There is nobody to take a call now. */
export function appUnavailable(app: string, message: string): ComponentError {
  return new ComponentError("APP_UNAVAILABLE", message, { metadata: { app }, retryAfterMs: 1_000 });
}

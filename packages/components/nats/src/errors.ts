import { ComponentError } from "@mecha/component";
import {
  AuthorizationError,
  ClosedConnectionError,
  NoRespondersError,
  PermissionViolationError,
  RequestError,
  TimeoutError,
} from "@nats-io/transport-node";

/** A request without an answer: the connection was away, broke, or said nothing. */
export class NoAnswer extends Error {
  constructor(
    message: string,
    /** Whether the server may have got it, and so may have done it. */
    readonly sent: boolean,
    /** When trying again may help, in ms from now. */
    readonly retryAfterMs: number,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

/** JetStream's refusals that are no bug of ours, by their `err_code`: what they mean to a caller, and what to do. Nothing was done. */
const refusals: Readonly<Record<number, { reason: "STORAGE_FULL" | "COMPONENT_UNAVAILABLE"; words: string }>> = {
  10002: {
    reason: "STORAGE_FULL",
    words: "JetStream's resources are used up; raise the account's or the server's limits",
  },
  10023: {
    reason: "STORAGE_FULL",
    words: "JetStream has insufficient resources; raise the server's limits or free its disk",
  },
  10026: { reason: "STORAGE_FULL", words: "the account has as many consumers as it may have; raise its limit" },
  10027: { reason: "STORAGE_FULL", words: "the account has as many streams as it may have; raise its limit" },
  10047: { reason: "STORAGE_FULL", words: "JetStream's storage is used up; raise `max_file_store` or free its disk" },
  10077: { reason: "STORAGE_FULL", words: "JetStream could not store the message; look at the server's disk and log" },
  10122: { reason: "STORAGE_FULL", words: "JetStream's storage is used up; raise the account's limit" },
  10005: { reason: "COMPONENT_UNAVAILABLE", words: "the cluster has too few servers for `replicas`" },
  10008: { reason: "COMPONENT_UNAVAILABLE", words: "the NATS cluster has no leader for JetStream now" },
  10009: { reason: "COMPONENT_UNAVAILABLE", words: "a stream has no leader now" },
  10039: { reason: "COMPONENT_UNAVAILABLE", words: "JetStream is not enabled for this account" },
  10074: { reason: "COMPONENT_UNAVAILABLE", words: "`replicas` above 1 needs a cluster of servers" },
  10076: { reason: "COMPONENT_UNAVAILABLE", words: "JetStream is not enabled: start nats-server with `-js`" },
};

/** What JetStream says of a request that it refuses. */
export interface Refusal {
  readonly err_code?: number;
  readonly code?: number;
  readonly description?: string;
}

/** A refusal as its caller is told. */
export function refused({ err_code = 0, description = "no reason given" }: Refusal, cause?: unknown): ComponentError {
  const known = refusals[err_code];
  if (known !== undefined) return new ComponentError(known.reason, known.words, { cause });
  return new ComponentError("COMPONENT_UNAVAILABLE", `NATS refused: ${description} (${err_code})`, { cause });
}

export function unavailable(message: string, retryAfterMs = 1000, cause?: unknown): ComponentError {
  return new ComponentError("COMPONENT_UNAVAILABLE", message, { retryAfterMs, cause });
}

/** The `err_code` of a refusal that the client library threw. */
export function refusalCode(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined;
}

/**
 * What a caller is told of a failure; what is not NATS' doing is handed on as it is: a bug.
 *
 * @param write what may have been done when there was no answer; undefined if it does not matter
 */
export function toComponentError(error: unknown, write?: string): unknown {
  if (error instanceof ComponentError) return error;
  if (error instanceof NoAnswer) {
    if (!error.sent || write === undefined) return unavailable(error.message, error.retryAfterMs, error);
    return new ComponentError("OUTCOME_UNKNOWN", `${error.message}; ${write}`, { cause: error });
  }
  if (isAway(error)) return unavailable(`NATS did not answer: ${error.message}`, 1000, error);
  const code = refusalCode(error);
  return code === undefined ? error : refused({ err_code: code, description: (error as Error).message }, error);
}

/** The client library's words for a request that was not answered. */
function isAway(error: unknown): error is Error {
  return (
    error instanceof TimeoutError ||
    error instanceof ClosedConnectionError ||
    error instanceof NoRespondersError ||
    error instanceof RequestError ||
    error instanceof PermissionViolationError
  );
}

/** What a person can do about a connection that cannot be made; names the address, never what logs in. */
export function explain(error: unknown, address: string): ComponentError {
  if (error instanceof ComponentError) return error;
  const text = error instanceof Error ? `${error.message} ${String(error.cause ?? "")}` : String(error);
  const say = (words: string) => unavailable(words, 1000, error);
  if (error instanceof AuthorizationError || /authorization|authentication/i.test(text)) {
    return say(`NATS at ${address} refused the login; check username, password, token, credentials or nkeySeed`);
  }
  if (/ECONNREFUSED|connection refused/i.test(text))
    return say(`connection refused at ${address}; is nats-server running?`);
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return say(`the host of ${address} is not known; is it spelt right?`);
  if (/certificate|self.signed|TLS|SSL/i.test(text)) return say(`TLS with NATS at ${address} failed: ${text.trim()}`);
  if (error instanceof TimeoutError || /timeout/i.test(text)) return say(`NATS at ${address} did not answer in time`);
  return say(`NATS at ${address}: ${error instanceof Error ? error.message : "the connection failed"}`);
}

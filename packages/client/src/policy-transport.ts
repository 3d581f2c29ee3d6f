import type { DescMessage, DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { StreamResponse, Transport } from "@connectrpc/connect";
import { checkTimeoutMs, type HeadersLike } from "./call.js";
import { connectionTrouble } from "./connection-trouble.js";
import { MechaError, runtimeUnavailable } from "./errors.js";
import { createRequestId } from "./request-id.js";
import { backoffMs, type RetryPolicy, realWaiting, type Waiting } from "./retry.js";

/** What {@link policyTransport} adds to a transport. */
export interface Policies {
  readonly token: string | undefined;
  readonly timeoutMs: number;
  readonly retry: RetryPolicy;
  readonly retryWrites: boolean;
}

/**
 * Adds to a transport what every call of every client has: the token, a deadline, request ids, retries of what is safe to retry, and MechaError
 * as the only error. Streams get the token and the errors: how to go on with a broken one is for the block to know.
 */
export function policyTransport(transport: Transport, policies: Policies, waiting: Waiting = realWaiting): Transport {
  const authorization = policies.token === undefined ? undefined : `Bearer ${policies.token}`;
  const withToken = (header: HeadersLike | undefined): HeadersLike | undefined => {
    if (authorization === undefined) return header;
    const headers = new Headers(header);
    if (!headers.has("authorization")) headers.set("authorization", authorization);
    return headers;
  };
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const limitMs = timeoutMs === undefined ? policies.timeoutMs : checkTimeoutMs(timeoutMs);
      const deadline = waiting.now() + limitMs;
      const request = policies.retryWrites ? withRequestId(method, input) : input;
      const headers = withToken(header);
      let leftMs = limitMs;
      for (let attempt = 1; ; attempt++) {
        try {
          return await transport.unary(method, signal, leftMs, headers, request, contextValues);
        } catch (cause) {
          const error = toCallError(cause, signal, isRepeatable(method, request));
          if (attempt >= policies.retry.maxAttempts || !mayRetry(error, method, request)) throw error;
          const delayMs = backoffMs(policies.retry, attempt, error, waiting.random);
          // A wait that outlasts the deadline would only hide what is wrong behind DEADLINE_EXCEEDED.
          if (waiting.now() + delayMs >= deadline) throw error;
          await waiting.sleep(delayMs, signal);
          leftMs = Math.max(1, deadline - waiting.now());
        }
      }
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const limitMs = timeoutMs === undefined ? undefined : checkTimeoutMs(timeoutMs);
      try {
        const response = await transport.stream(method, signal, limitMs, withToken(header), input, contextValues);
        return withMechaErrors(response, signal);
      } catch (error) {
        throw toMechaError(error, signal);
      }
    },
  };
}

/** A failed call's error. A write whose connection was lost may have been done, and its error must say so, not "unavailable". */
function toCallError(cause: unknown, signal: AbortSignal | undefined, repeatable: boolean): MechaError {
  const error = toMechaError(cause, signal);
  if (repeatable || error.reason !== "RUNTIME_UNAVAILABLE" || connectionTrouble(cause) === "before") return error;
  return new MechaError(
    "the connection to the runtime was lost: the write may or may not have been done; read before writing again, or give writes a requestId",
    { code: "unknown", reason: "OUTCOME_UNKNOWN", cause },
  );
}

/** A transport's error. One that is "canceled" though its caller did not cancel comes from a connection that was cut: HTTP/2 calls it so. */
function toMechaError(cause: unknown, signal: AbortSignal | undefined): MechaError {
  const error = MechaError.from(cause);
  if (error.code !== "canceled" || signal?.aborted) return error;
  return runtimeUnavailable("the connection to the runtime was lost", cause);
}

/** Whether sending the call again may do good and cannot do harm. */
function mayRetry<I extends DescMessage>(error: MechaError, method: DescMethod, input: MessageInitShape<I>): boolean {
  switch (error.code) {
    case "unavailable": // By contract nothing was done; where that is not certain, toCallError says OUTCOME_UNKNOWN.
      return true;
    case "resource_exhausted": // RATE_LIMITED: nothing was done, and RetryInfo says that waiting helps.
      return error.retryAfter !== undefined;
    case "unknown":
      return error.reason === "OUTCOME_UNKNOWN" && isRepeatable(method, input);
    default:
      return false;
  }
}

/** Whether doing the call twice is as good as once: it has no effect, or its request id makes the second one harmless. */
function isRepeatable<I extends DescMessage>(method: DescMethod, input: MessageInitShape<I>): boolean {
  return (
    method.idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN ||
    ("requestId" in input && typeof input.requestId === "string" && input.requestId !== "")
  );
}

/** Every write of every contract takes a `request_id`; fills it where the caller did not. */
function withRequestId<I extends DescMessage>(method: DescMethod, input: MessageInitShape<I>): MessageInitShape<I> {
  if (method.input.field.requestId === undefined || isRepeatable(method, input)) return input;
  return { ...input, requestId: createRequestId() };
}

function withMechaErrors<I extends DescMessage, O extends DescMessage>(
  response: StreamResponse<I, O>,
  signal: AbortSignal | undefined,
): StreamResponse<I, O> {
  const { message } = response;
  return {
    ...response,
    message: {
      async *[Symbol.asyncIterator]() {
        try {
          yield* message;
        } catch (error) {
          throw toMechaError(error, signal);
        }
      },
    },
  };
}

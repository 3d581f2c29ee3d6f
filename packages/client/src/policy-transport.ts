import type { DescMessage, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { StreamResponse, Transport } from "@connectrpc/connect";
import { checkTimeoutMs, type HeadersLike } from "./call.js";
import { connectionTrouble, isCutStream } from "./connection-trouble.js";
import { abortError, MechaError, runtimeUnavailable } from "./errors.js";
import { createRequestId } from "./request-id.js";
import { backoffMs, type RetryPolicy, realWaiting, type Waiting } from "./retry.js";
import { withTraceContext } from "./trace-context.js";

/** What {@link policyTransport} adds to a transport. */
export interface Policies {
  readonly token: string | undefined;
  readonly timeoutMs: number;
  readonly retry: RetryPolicy;
  readonly retryWrites: boolean;
}

/**
 * Adds to a transport what every call of every client has: the token, the caller's trace, a deadline, request ids, retries of what is safe to retry, and MechaError
 * as the only error. Streams get the token, the trace and the errors: how to go on with a broken one is for the block to know.
 *
 * @param closed aborts when the client is closed: calls then end as canceled, not as an unavailable runtime.
 */
export function policyTransport(
  transport: Transport,
  policies: Policies,
  closed: AbortSignal,
  waiting: Waiting = realWaiting,
): Transport {
  const authorization = policies.token === undefined ? undefined : `Bearer ${policies.token}`;
  const complete = (given: HeadersLike | undefined): HeadersLike | undefined => {
    const header = withTraceContext(given);
    if (authorization === undefined) return header;
    const headers = new Headers(header);
    if (!headers.has("authorization")) headers.set("authorization", authorization);
    return headers;
  };

  /** A transport's error. One that is "canceled" though nobody here canceled comes from a connection that was cut: HTTP/2 calls it so. */
  const toMechaError = (cause: unknown, signal: AbortSignal | undefined): MechaError => {
    const error = MechaError.from(cause);
    if (error.code !== "canceled" || closed.aborted) return error;
    return signal?.aborted ? abortError(signal) : lostConnection(cause);
  };

  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      checkOpen(closed);
      const limitMs = timeoutMs === undefined ? policies.timeoutMs : checkTimeoutMs(timeoutMs);
      const deadline = waiting.now() + limitMs;
      const request = policies.retryWrites ? withRequestId(method, input) : input;
      const effect = effectOf(method, request);
      const headers = complete(header);
      let leftMs = limitMs;
      let mayBeDone = false;
      for (let attempt = 1; ; attempt++) {
        try {
          return await transport.unary(method, signal, leftMs, headers, request, contextValues);
        } catch (cause) {
          const error = toMechaError(cause, signal);
          if (!mayPass(error)) throw error;
          mayBeDone ||= effect !== "none" && leavesOpen(error, cause);
          const unsettled = mayBeDone ? outcomeUnknown(error) : error;
          if (attempt >= policies.retry.maxAttempts || (mayBeDone && effect === "each time")) throw unsettled;
          const delayMs = backoffMs(policies.retry, attempt, error, waiting.random);
          // A wait that outlasts the deadline would only hide what is wrong behind DEADLINE_EXCEEDED.
          if (waiting.now() + delayMs >= deadline) throw unsettled;
          await waiting.sleep(delayMs, signal);
          checkOpen(closed);
          leftMs = Math.max(1, Math.ceil(deadline - waiting.now())); // 0 would be: no deadline.
        }
      }
    },

    async stream(method, signal, timeoutMs, header, input, contextValues) {
      checkOpen(closed);
      const limitMs = timeoutMs === undefined ? undefined : checkTimeoutMs(timeoutMs);
      try {
        const response = await transport.stream(method, signal, limitMs, complete(header), input, contextValues);
        return withErrors(response, (error, worked) =>
          worked && isCutStream(error) ? lostConnection(error) : toMechaError(error, signal),
        );
      } catch (error) {
        throw toMechaError(error, signal);
      }
    },
  };
}

function checkOpen(closed: AbortSignal): void {
  if (closed.aborted) throw new MechaError("this client is closed", { code: "canceled", reason: "CANCELED" });
}

/** What a call does when it is sent twice: nothing, what it does once, or its work again. */
type Effect = "none" | "once" | "each time";

function effectOf<I extends DescMessage>(method: DescMethodUnary<I>, input: MessageInitShape<I>): Effect {
  if (method.idempotency === IdempotencyLevel.NO_SIDE_EFFECTS) return "none";
  const idempotent = method.idempotency === IdempotencyLevel.IDEMPOTENT || hasRequestId(input);
  return idempotent ? "once" : "each time";
}

/** Every write of every contract takes a `request_id`, which makes the runtime do it once however often it is sent. */
function hasRequestId<I extends DescMessage>(input: MessageInitShape<I>): boolean {
  return "requestId" in input && typeof input.requestId === "string" && input.requestId !== "";
}

function withRequestId<I extends DescMessage>(
  method: DescMethodUnary<I>,
  input: MessageInitShape<I>,
): MessageInitShape<I> {
  if (method.input.field.requestId === undefined || hasRequestId(input)) return input;
  return { ...input, requestId: createRequestId() };
}

/** Whether the same call may succeed later. */
function mayPass(error: MechaError): boolean {
  switch (error.code) {
    case "unavailable":
      return true;
    case "resource_exhausted": // RATE_LIMITED: RetryInfo says that waiting helps.
      return error.retryAfter !== undefined;
    default:
      return error.reason === "OUTCOME_UNKNOWN";
  }
}

/** Whether a call that failed may have been done: the runtime says so, or the connection was lost before it could say anything. */
function leavesOpen(error: MechaError, cause: unknown): boolean {
  if (error.reason === "RUNTIME_UNAVAILABLE") return connectionTrouble(cause) !== "before";
  return error.reason === "OUTCOME_UNKNOWN";
}

/** By contract "unavailable" means that nothing was done; a write of which that is not certain must not say so. */
function outcomeUnknown(error: MechaError): MechaError {
  if (error.reason === "OUTCOME_UNKNOWN") return error;
  return new MechaError(
    `the write may or may not have been done; read before writing again, or give writes a requestId (${error.message})`,
    { code: "unknown", reason: "OUTCOME_UNKNOWN", cause: error.cause },
  );
}

function lostConnection(cause: unknown): MechaError {
  return runtimeUnavailable("the connection to the runtime was lost", cause);
}

/** @param toError what to throw for an error; `worked` says whether the stream had brought a message before. */
function withErrors<I extends DescMessage, O extends DescMessage>(
  response: StreamResponse<I, O>,
  toError: (error: unknown, worked: boolean) => MechaError,
): StreamResponse<I, O> {
  const { message } = response;
  return {
    ...response,
    message: {
      async *[Symbol.asyncIterator]() {
        let worked = false;
        try {
          for await (const item of message) {
            worked = true;
            yield item;
          }
        } catch (error) {
          throw toError(error, worked);
        }
      },
    },
  };
}

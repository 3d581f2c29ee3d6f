export { type CallOptions, type HeadersLike, toRpcOptions } from "./call.js";
export { type Codec, codecOf, type EncodedValue, plainCodec } from "./codec.js";
export { connectRuntime, type RuntimeConnection } from "./connect-runtime.js";
export { type Duration, toDuration, toMilliseconds } from "./duration.js";
export {
  abortError,
  badRequest,
  type ErrorCode,
  MechaError,
  type MechaErrorOptions,
  runtimeUnavailable,
  type Violation,
} from "./errors.js";
export { type EventOptions, toPublishEntry } from "./event.js";
export type { ClientOptions } from "./options.js";
export { createRequestId } from "./request-id.js";
export { backoffMs, type RetryOptions, type RetryPolicy, sleep } from "./retry.js";
export type { Storable, ValueInput, ValueOutput, ValueSchema } from "./schema.js";
export { inTraceOf, withTraceContext } from "./trace-context.js";

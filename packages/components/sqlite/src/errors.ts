import { ComponentError } from "@mecha/component";
import type { Failure } from "./failure.js";

/** What a caller gets for a failure. A failure without a reason is a bug, and stays an ordinary Error. */
export function toComponentError(failure: Failure): Error {
  const { reason, message, metadata, retryAfterMs, violations, detail } = failure;
  if (reason === undefined) return new Error(message, { cause: detail });
  return new ComponentError(reason, message, {
    ...(metadata && { metadata }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(violations && { violations }),
    ...(detail !== undefined && { cause: detail }),
  });
}

/** What every call gets once the component is closed. */
export function componentClosed(): ComponentError {
  const message = "the component is stopping or has stopped; nothing was done";
  return new ComponentError("COMPONENT_UNAVAILABLE", message, { retryAfterMs: 100 });
}

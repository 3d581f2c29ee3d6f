import type { HandlerContext } from "@connectrpc/connect";

/** https://www.w3.org/TR/trace-context/#traceparent-header: no version ff, and no id of zeros alone. */
const pattern = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The trace that a call belongs to, as its caller says in `traceparent`; undefined if it does not, or says it wrong. */
export function readTraceparent({ requestHeader }: Pick<HandlerContext, "requestHeader">): string | undefined {
  const value = requestHeader.get("traceparent");
  return value !== null && isTraceparent(value) ? value : undefined;
}

export const isTraceparent = (value: string): boolean => pattern.test(value);

/** Whether somebody records the trace, as its `traceparent` says. */
export const isSampled = (traceparent: string): boolean => (Number.parseInt(traceparent.slice(-2), 16) & 1) === 1;

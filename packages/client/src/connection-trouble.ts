import { Code, ConnectError } from "@connectrpc/connect";

/**
 * Whether `error` is about the connection to the runtime rather than an answer of the runtime's, and if so, whether the request may have
 * reached it:
 *
 * - `"before"`: no connection was made, so nothing was done.
 * - `"during"`: the connection was lost under the call; the runtime may have done it.
 * - `undefined`: no trouble with the connection.
 */
export function connectionTrouble(error: unknown): "before" | "during" | undefined {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth++) {
    if (isSystemError(cause)) return cause.syscall === "connect" || neverSent.has(cause.code) ? "before" : "during";
    // What `fetch` throws for anything that happens to its connection; it does not tell what.
    if (cause instanceof TypeError && cause !== error) return "during";
  }
  // A proxy that has no runtime behind it, or a connection that was refused a stream.
  return error instanceof ConnectError && error.code === Code.Unavailable ? "during" : undefined;
}

/** System errors of a request that never left: no name, no listener. */
const neverSent: ReadonlySet<string> = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]);

/** An error of Node's network modules: `code` is `ECONNRESET`, `ERR_HTTP2_…`, `ERR_STREAM_…` and the like. */
function isSystemError(error: Error): error is Error & { code: string; syscall?: unknown } {
  return (
    "code" in error &&
    typeof error.code === "string" &&
    /^(E[A-Z]+|ERR_(HTTP2|STREAM|SOCKET)_[A-Z_0-9]+)$/.test(error.code)
  );
}

import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@mecha/api/rpc";

/**
 * Whether `error` is about the connection to the runtime rather than an answer of the runtime's, and if so, whether the request may have
 * reached it:
 *
 * - `"before"`: no connection was made, so nothing was done.
 * - `"during"`: the connection was lost under the call; the runtime may have done it.
 * - `undefined`: no trouble with the connection.
 */
export function connectionTrouble(error: unknown): "before" | "during" | undefined {
  const causes = causesOf(error);
  const system = causes.find(isSystemError);
  if (system !== undefined) return system.syscall === "connect" || neverSent.test(system.code) ? "before" : "during";
  // What `fetch` throws for anything that happens to its connection; a browser does not tell what.
  if (causes.some((cause) => cause instanceof TypeError)) return "during";
  // A proxy that has no runtime behind it, or a connection that refused the stream.
  return error instanceof ConnectError && error.code === Code.Unavailable ? "during" : undefined;
}

/**
 * Whether `error` is how a stream ends that was cut off while it worked. What a transport makes of half a message differs; what a runtime says
 * always bears an ErrorInfo.
 */
export function isCutStream(error: unknown): boolean {
  if (!(error instanceof ConnectError) || error.findDetails(ErrorInfoSchema).length > 0) return false;
  return cutStreamCodes.has(error.code);
}

const cutStreamCodes: ReadonlySet<Code> = new Set([
  Code.Aborted,
  Code.DataLoss,
  Code.Internal,
  Code.InvalidArgument,
  Code.Unknown,
]);

/** System errors of a request that never left: no name, no listener, no trust. */
const neverSent = /^(ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|ERR_TLS_[A-Z_]+|.*(CERT|SIGNATURE).*)$/;

/** An error of Node's network modules: `code` is `ECONNRESET`, `ERR_HTTP2_…`, `ERR_STREAM_…` and the like. */
function isSystemError(error: Error): error is Error & { code: string; syscall?: unknown } {
  if (!("code" in error && typeof error.code === "string")) return false;
  return /^(E[A-Z]+|ERR_(HTTP2|STREAM|SOCKET)_[A-Z_0-9]+)$/.test(error.code) || neverSent.test(error.code);
}

/** What caused an error, and what caused that; ends with a cause that causes itself. */
function causesOf(error: unknown): Error[] {
  const causes: Error[] = [];
  let cause: unknown = error instanceof Error ? error.cause : undefined;
  while (cause instanceof Error && !causes.includes(cause)) {
    causes.push(cause);
    cause = cause.cause;
  }
  return causes;
}

import type { DescMethod } from "@bufbuild/protobuf";
import type { ClientMethod } from "./config.js";

/** A call on its way out, after the interceptors. */
export interface OutgoingCall {
  readonly method: DescMethod;
  readonly client: ClientMethod;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  /** The caller's headers, if any; with interceptors all of them, as they left the last one. */
  readonly header: Headers | undefined;
}

/** What this client calls itself when the caller does not say. */
export const userAgent = "mecha-rpc";

/** Headers that are the connection's or the protocol's to set. */
const reserved = new Set([
  "host",
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "content-length",
  "content-encoding",
  "content-type",
  "accept-encoding",
  "te",
  "user-agent",
  "connect-protocol-version",
  "connect-timeout-ms",
  "connect-content-encoding",
  "connect-accept-encoding",
  "grpc-timeout",
  "grpc-encoding",
  "grpc-accept-encoding",
]);

/** Calls back for each of the caller's own headers. */
export function forEachCallerHeader(header: Headers | undefined, each: (name: string, value: string) => void): void {
  header?.forEach((value, name) => {
    if (!reserved.has(name)) each(name, value);
  });
}

import type { Transport } from "@connectrpc/connect";
import { lazyTransport } from "./lazy-transport.js";
import { type ClientOptions, resolveClientOptions } from "./options.js";
import { policyTransport } from "./policy-transport.js";
import type { RetryPolicy } from "./retry.js";

/** A block client's way to the runtime. */
export interface RuntimeConnection extends AsyncDisposable {
  /** For `createClient(Service, transport)`: throws MechaErrors only, keeps deadlines, retries what is safe to retry. */
  readonly transport: Transport;
  /** How what is not one call, such as a stream that broke, is tried again. */
  readonly retry: RetryPolicy;
  /** The deadline of what consists of several calls and sets none, in ms. */
  readonly timeoutMs: number;
  /** The bare way, for what only passes the runtime: no token, deadline or retry is added, and errors are Connect's own. */
  readonly bare: { readonly transport: Transport; readonly endpoint: string; token(): string | undefined };
  /** Aborts when the connection is closed; streams end with it. */
  readonly closed: AbortSignal;
  /** Ends open streams and closes the connections it made. A `transport` from the options stays open: it is the caller's. */
  close(): Promise<void>;
}

/**
 * The way to the runtime that `options` and the environment name. Connects by the first call.
 *
 * @throws MechaError `BAD_REQUEST` when an option or a variable makes no sense.
 */
export function connectRuntime(options: ClientOptions = {}): RuntimeConnection {
  const resolved = resolveClientOptions(options);
  const load = async () => (await import("#transport")).createDefaultTransport(resolved.endpoint);
  const own = lazyTransport(load); // Loads nothing unless it is called.
  const closed = new AbortController();
  const close = async () => {
    closed.abort();
    await own.close();
  };
  const { endpoint, token } = resolved;
  return {
    // A function: whoever prints a connection does not print its token.
    bare: { transport: resolved.transport ?? own, endpoint, token: () => token },
    transport: policyTransport(resolved.transport ?? own, resolved, closed.signal),
    retry: resolved.retry,
    timeoutMs: resolved.timeoutMs,
    closed: closed.signal,
    close,
    [Symbol.asyncDispose]: close,
  };
}

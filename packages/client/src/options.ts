import type { Transport } from "@connectrpc/connect";
import { checkTimeoutMs } from "./call.js";
import { badRequest } from "./errors.js";
import { type RetryOptions, type RetryPolicy, resolveRetryOptions } from "./retry.js";

/** What every block's client takes. */
export interface ClientOptions {
  /**
   * Where the runtime is: `http://host:port`, `https://host:port` or `unix:/path`. Default: the environment variable `MECHA_ENDPOINT`, else
   * `http://127.0.0.1:3600`. Not used with `transport`.
   */
  endpoint?: string;
  /**
   * Proves to the runtime which app is calling; sent as `authorization: Bearer`. Default: the environment variable `MECHA_API_TOKEN` (not with
   * `transport`), else none.
   */
  token?: string;
  /** A Connect transport to call through instead of one to `endpoint`: an embedded runtime's, or one with interceptors of your own. */
  transport?: Transport;
  /** The deadline of calls that set none, retries included, in ms. Default 15 000. */
  timeoutMs?: number;
  /** How failed calls are tried again, within their deadline; `false`: not at all. Default: up to 10 times, from 50 ms to 2 s apart. */
  retry?: RetryOptions | false;
  /**
   * Gives every write a request id, so that it is also tried again when the connection was lost while it was under way. Costs the component a
   * record per write (200 bytes in SQLite), kept for 10 minutes. Default false: such a write throws `OUTCOME_UNKNOWN` unless the call has a `requestId`.
   */
  retryWrites?: boolean;
}

/** {@link ClientOptions}, complete: option > environment > default. */
export interface ResolvedClientOptions {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly transport: Transport | undefined;
  readonly timeoutMs: number;
  readonly retry: RetryPolicy;
  readonly retryWrites: boolean;
}

export function resolveClientOptions(options: ClientOptions): ResolvedClientOptions {
  const environment = options.transport === undefined ? processEnvironment() : {};
  return {
    endpoint: checkEndpoint(options.endpoint, environment.MECHA_ENDPOINT),
    token: options.token ?? (environment.MECHA_API_TOKEN || undefined),
    transport: options.transport,
    timeoutMs: checkTimeoutMs(options.timeoutMs ?? 15_000),
    retry: resolveRetryOptions(options.retry),
    retryWrites: options.retryWrites ?? false,
  };
}

function checkEndpoint(option: string | undefined, variable: string | undefined): string {
  const endpoint = option ?? (variable || "http://127.0.0.1:3600");
  const [protocol, rest] = /^(https?:\/\/|unix:)(.*)$/s.exec(endpoint)?.slice(1) ?? [];
  const valid = protocol === "unix:" ? rest?.startsWith("/") : protocol !== undefined && URL.canParse(endpoint);
  if (valid) return endpoint;
  throw badRequest(
    option === undefined ? "MECHA_ENDPOINT" : "endpoint",
    `${JSON.stringify(endpoint)} is no endpoint; write http://host:port, https://host:port or unix:/path/of/socket`,
  );
}

/** The environment, where there is one: a browser has none. */
function processEnvironment(): Record<string, string | undefined> {
  return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};
}

import { Agent as HttpAgent, type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { ComponentError } from "@mecha/component";
import type { AddressGuard } from "./addresses.js";
import type { HttpConfig } from "./config.js";

/** One request. */
export interface Exchange {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Aborts when the caller is gone or the call's time is up. */
  readonly signal: AbortSignal;
}

/** Its response. */
export interface ExchangeResult {
  readonly status: number;
  /** By name in lower case; several of a name are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Makes requests, over connections that are kept. */
export interface Exchanger {
  send(exchange: Exchange): Promise<ExchangeResult>;
  close(): void;
}

/** Methods that change nothing (RFC 9110, section 9.2.1): one of these that failed was not done. */
const safe = new Set(["GET", "HEAD", "OPTIONS"]);

export function createExchanger(config: HttpConfig, guard: AddressGuard): Exchanger {
  const options = { keepAlive: true, maxSockets: config.maxConnections, scheduling: "lifo" as const };
  const http = new HttpAgent(options);
  const https = new HttpsAgent({ ...options, ...(config.ca !== undefined && { ca: config.ca }) });

  /** `onSent` is called once something of the request may have reached the host. */
  const attempt = ({ method, url, headers, body, signal }: Exchange, onSent: () => void): Promise<ExchangeResult> => {
    const { promise, resolve, reject } = Promise.withResolvers<ExchangeResult>();
    const isHttps = url.protocol === "https:";
    const length = body.byteLength > 0 || method === "POST" || method === "PUT" || method === "PATCH";
    const requestOptions: RequestOptions = {
      method,
      headers: { ...headers, ...(length && { "content-length": body.byteLength }) },
      agent: isHttps ? https : http,
      lookup: guard.lookup,
      signal,
    };
    const request = (isHttps ? requestHttps : requestHttp)(url, requestOptions);
    const connecting = setTimeout(
      () => request.destroy(new Error(`no connection within ${config.connectTimeoutMs} ms`)),
      config.connectTimeoutMs,
    );
    const connected = () => {
      clearTimeout(connecting);
      onSent();
    };
    request.on("socket", (socket) => {
      if (socket.connecting) socket.once(isHttps ? "secureConnect" : "connect", connected);
      else connected();
    });
    request.on("response", (response) => {
      readBody(response, config.maxResponseBytes).then(
        (data) => resolve({ status: response.statusCode ?? 0, headers: headersOf(response), body: data }),
        (error: unknown) => {
          request.destroy();
          reject(error);
        },
      );
    });
    request.on("error", (error) => {
      clearTimeout(connecting);
      // A connection that was kept may close as it is used again: nothing of this request was read by then, as far as can be known.
      reject(
        request.reusedSocket && "code" in error && error.code === "ECONNRESET" ? new StaleConnection(error) : error,
      );
    });
    request.end(body);
    return promise;
  };

  return {
    async send(exchange) {
      guard.checkHost(exchange.url.hostname);
      const isSafe = safe.has(exchange.method);
      let sent = false;
      const onSent = () => {
        sent = true;
      };
      for (;;) {
        try {
          return await attempt(exchange, onSent);
        } catch (error) {
          if (error instanceof StaleConnection && isSafe && !exchange.signal.aborted) continue;
          throw explain(error, exchange, sent && !isSafe);
        }
      }
    },
    close() {
      http.destroy();
      https.destroy();
    },
  };
}

/** A kept connection that turned out to be closed. The agent has forgotten it, so trying again ends. */
class StaleConnection extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** What became of a request that failed: nothing, or nobody knows. */
function explain(error: unknown, { url, method, signal }: Exchange, mayBeDone: boolean): unknown {
  if (error instanceof ComponentError) return error;
  const what = `${method} ${url.origin}`;
  if (mayBeDone) {
    const why = signal.aborted ? "it was given up" : reasonOf(error);
    return new ComponentError("OUTCOME_UNKNOWN", `${what} may have been done: ${why} before the response was there`, {
      cause: error,
    });
  }
  if (signal.aborted) return signal.reason;
  return new ComponentError("COMPONENT_UNAVAILABLE", `${what} was not done: ${reasonOf(error)}`, {
    retryAfterMs: 1_000,
    cause: error,
  });
}

/** Node's code says enough ("ECONNREFUSED"); what has none says what happened. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

async function readBody(response: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.byteLength;
    if (length > maxBytes) {
      const message = `the request was done, but its response is larger than ${maxBytes} bytes`;
      throw new ComponentError("TOO_LARGE", message, { metadata: { limit_bytes: String(maxBytes), done: "true" } });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) plain[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return plain;
}

import type { ConnectRouter } from "@connectrpc/connect";
import { stateLimits } from "@mecha/component";
import { type ListenOptions, type ProxyHandler, type RpcServer, serve } from "@mecha/rpc";
import type { Door } from "../blocks/block.js";
import { describeRefusal, toConnectError } from "../telemetry/errors.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { createGuard } from "./guard.js";
import { type HttpRequest, type HttpResponse, send, sendError } from "./http.js";

/** What is served, and to whom. */
export interface ListenerOptions {
  readonly listen: ListenOptions;
  readonly routes: (router: ConnectRouter) => void;
  readonly doors: readonly Door[];
  /** Takes the calls that go to other apps. */
  readonly proxy?: ProxyHandler | undefined;
  readonly token: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly logger: RuntimeLogger;
}

/** The largest request: a transaction of the largest size, in JSON, where bytes are base64. */
const readMaxBytes = Math.ceil(stateLimits.maxTransactionBytes * 1.5);

/** Listens for RPCs and plain HTTP on one port or Unix socket. */
export async function listen(options: ListenerOptions): Promise<RpcServer> {
  try {
    return await serve({
      listen: options.listen,
      routes: options.routes,
      guard: createGuard(options),
      allowedOrigins: options.allowedOrigins,
      ...(options.proxy !== undefined && { proxy: options.proxy }),
      fallback: (request, response) => open(options, request, response),
      limits: { readMaxBytes },
      describeError: describeRefusal,
      // A misspelt field that is ignored drops a precondition without a word.
      jsonOptions: { ignoreUnknownFields: false },
    });
  } catch (error) {
    throw explainListening(error, options.listen);
  }
}

async function open({ doors, logger }: ListenerOptions, request: HttpRequest, response: HttpResponse): Promise<void> {
  const path = request.url?.split("?", 1)[0] ?? "";
  const door = doors.find(({ prefix }) => (prefix.endsWith("/") ? path.startsWith(prefix) : path === prefix));
  if (door === undefined) {
    send(response, 404, { "content-type": "text/plain" }, "nothing is served here\n");
    return;
  }
  try {
    await door.handle(request, response);
  } catch (error) {
    await sendError(response, toConnectError(error, undefined, logger));
  }
}

/** An error of listening, with what to do about it. */
export function explainListening(error: unknown, where: ListenOptions): Error {
  const { code } = error as NodeJS.ErrnoException;
  const place = "path" in where ? where.path : `${where.host ?? "127.0.0.1"}:${where.port ?? 0}`;
  const hints: Readonly<Record<string, string>> = {
    EADDRINUSE: "something else listens there; stop it, or choose another place with listen (--port, --socket)",
    EACCES: "it is not allowed; choose a port of 1024 or more, or a folder that can be written",
    EADDRNOTAVAIL: "this machine has no such address",
    ENOENT: "there is no such folder",
  };
  const hint = code === undefined ? undefined : hints[code];
  if (hint === undefined) return error instanceof Error ? error : new Error(String(error));
  return Object.assign(new Error(`cannot listen on ${place}: ${hint} (${code})`, { cause: error }), { code });
}

import type { Transport } from "@connectrpc/connect";
import { badRequest, type ClientOptions, connectRuntime, type HeadersLike, withTraceContext } from "@mecha/client";

/** Options of {@link createMeshClient}. */
export interface MeshClientOptions extends Pick<ClientOptions, "endpoint" | "token" | "transport"> {}

/** The way to other apps. */
export interface MeshClient extends AsyncDisposable {
  /**
   * `fetch`, to another app: `fetch("orders", "/orders/7?full")`. A body that is a stream is sent as it comes. What the app answers is the response, also
   * when it is an error; so is what the runtime says when it has nobody to ask (404, 503).
   */
  fetch(app: string, path: string, init?: RequestInit): Promise<Response>;
  /**
   * A Connect transport to another app, for a client of the user's own service: `createClient(OrderService, mesh.transport("orders"))`. Errors are
   * ConnectErrors, as the service gave them.
   */
  transport(app: string): Transport;
  close(): Promise<void>;
}

const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** A client for calls to other apps. Connects by the first call. Throws BAD_REQUEST when an option makes no sense. */
export function createMeshClient(options: MeshClientOptions = {}): MeshClient {
  const { bare, closed, close } = connectRuntime(options);

  /** What every call carries: for whom it is, the runtime's token, and the trace that the caller is in. `authorization` stays the caller's. */
  const headersFor = (app: string, given: HeadersLike | undefined): Headers => {
    const headers = new Headers(withTraceContext(given));
    headers.set("mecha-app", app);
    const token = bare.token();
    if (token !== undefined) headers.set("mecha-token", token);
    return headers;
  };

  return {
    async fetch(app, path, init = {}) {
      checkApp(app);
      // By header, not as `/invoke/<app>/…`: a path with ".." could otherwise lead to another app.
      const url = urlOf(bare.endpoint, path);
      const signal = init.signal ? AbortSignal.any([init.signal, closed]) : closed;
      const streams = init.body instanceof ReadableStream ? { duplex: "half" as const } : {};
      return fetch(url, { redirect: "manual", ...init, ...streams, signal, headers: headersFor(app, init.headers) });
    },
    transport(app) {
      checkApp(app);
      const { transport } = bare;
      return {
        unary: (method, signal, timeoutMs, header, ...rest) =>
          transport.unary(method, signal, timeoutMs, headersFor(app, header), ...rest),
        stream: (method, signal, timeoutMs, header, ...rest) =>
          transport.stream(method, signal, timeoutMs, headersFor(app, header), ...rest),
      };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkApp(app: string): void {
  if (!dnsLabel.test(app))
    throw badRequest("app", `${JSON.stringify(app)} is no app id: it is 1 to 63 of a-z, 0-9 and "-"`);
}

function urlOf(endpoint: string, path: string): string {
  if (endpoint.startsWith("unix:")) {
    throw badRequest(
      "endpoint",
      "fetch cannot reach a Unix socket; let the runtime listen on a port, or call by transport()",
    );
  }
  if (!path.startsWith("/")) throw badRequest("path", `${JSON.stringify(path)} must begin with a slash`);
  return endpoint.replace(/\/+$/, "") + path;
}

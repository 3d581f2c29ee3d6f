import type { Clock } from "@mecha/component";
import { type ProxyHandler, type RpcServer, serve } from "@mecha/rpc";
import type { EdgeOptions } from "../options.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { send } from "./http.js";
import { explainListening } from "./listen.js";

/** What listens for outsiders. */
export interface EdgeListener {
  readonly proxy: ProxyHandler;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

/** Listens for outsiders: nothing is there but the apps that policies expose, and `/healthz` for the balancer before it. */
export async function listenAtEdge(
  { tls, ...listen }: EdgeOptions,
  { proxy, clock, logger }: EdgeListener,
): Promise<Pick<RpcServer, "endpoint" | "close">> {
  const certificate = tls && (await import("@mecha/identity")).readServerCertificate({ files: tls, clock, logger });
  try {
    const server = await serve({
      listen,
      routes() {},
      proxy,
      ...(certificate !== undefined && { tls: certificate.current.secrets() }),
      fallback(request, response) {
        const isProbe = request.url === "/healthz";
        send(
          response,
          isProbe ? 200 : 404,
          { "content-type": "text/plain" },
          isProbe ? "alive\n" : "nothing is served here\n",
        );
      },
    });
    certificate?.onChange((next) => server.renewTls(next.secrets()));
    return {
      endpoint: server.endpoint,
      close(options) {
        certificate?.close();
        return server.close(options);
      },
    };
  } catch (error) {
    certificate?.close();
    throw explainListening(error, listen);
  }
}

import { readFileSync } from "node:fs";
import { type ProxyHandler, type RpcServer, serve } from "@mecha/rpc";
import type { EdgeOptions } from "../options.js";
import { send } from "./http.js";
import { explainListening } from "./listen.js";

/** Listens for outsiders: nothing is there but the apps that policies expose, and `/healthz` for the balancer before it. */
export async function listenAtEdge({ tls, ...listen }: EdgeOptions, proxy: ProxyHandler): Promise<RpcServer> {
  try {
    return await serve({
      listen,
      routes() {},
      proxy,
      ...(tls !== undefined && { tls: { cert: readFileSync(tls.certificate), key: readFileSync(tls.key) } }),
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
  } catch (error) {
    throw explainListening(error, listen);
  }
}

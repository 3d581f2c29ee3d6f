import type { IncomingMessage } from "node:http";
import type { RequestHead } from "../options.js";

/** The head of a request that Node has parsed. */
export function toRequestHead(request: IncomingMessage): RequestHead {
  const { headers } = request;
  return {
    method: request.method ?? "",
    url: request.url ?? "",
    header(name) {
      const value = headers[name] ?? (name === "host" ? headers[":authority"] : undefined);
      return Array.isArray(value) ? value.join(", ") : value;
    },
    remoteAddress: request.socket.remoteAddress,
  };
}

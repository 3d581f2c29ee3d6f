import { createConnectTransport } from "@connectrpc/connect-web";
import { badRequest } from "../errors.js";
import type { ClosableTransport } from "../lazy-transport.js";

/** Calls the runtime from a browser, with fetch. The browser owns the connections. */
export function createDefaultTransport(endpoint: string): ClosableTransport {
  if (endpoint.startsWith("unix:")) {
    throw badRequest("endpoint", `a browser cannot reach ${endpoint}; pass http://host:port or https://host:port`);
  }
  return { ...createConnectTransport({ baseUrl: endpoint, useBinaryFormat: true }), close: async () => {} };
}

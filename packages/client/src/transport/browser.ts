import { createConnectTransport } from "@connectrpc/connect-web";
import type { ClosableTransport } from "../lazy-transport.js";

/** Calls the runtime from a browser, with fetch. The browser owns the connections. */
export function createDefaultTransport(endpoint: string): ClosableTransport {
  return { ...createConnectTransport({ baseUrl: endpoint, useBinaryFormat: true }), close: async () => {} };
}

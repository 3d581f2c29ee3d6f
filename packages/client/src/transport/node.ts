import { createTransport } from "@mecha/rpc";
import type { ClosableTransport } from "../lazy-transport.js";

/** Calls the runtime from Node, Bun and Deno: over TCP or a Unix socket. */
export function createDefaultTransport(endpoint: string): ClosableTransport {
  return createTransport({ endpoint });
}

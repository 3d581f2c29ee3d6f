import { createTransport } from "@mecha/rpc";
import type { ClosableTransport } from "../lazy-transport.js";

/**
 * Calls the runtime from Node, Bun and Deno: over TCP or a Unix socket. Streams go by gRPC, which the runtime serves directly: a Connect stream
 * costs it many times as much. Neither connects before it is needed.
 */
export function createDefaultTransport(endpoint: string): ClosableTransport {
  const calls = createTransport({ endpoint });
  const streams = createTransport({ endpoint, protocol: "grpc" });
  return {
    unary: calls.unary,
    stream: streams.stream,
    async close() {
      await Promise.all([calls.close(), streams.close()]);
    },
  };
}

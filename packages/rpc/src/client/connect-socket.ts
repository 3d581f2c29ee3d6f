import * as net from "node:net";
import * as tls from "node:tls";
import { Code, ConnectError } from "@connectrpc/connect";
import type { TransportOptions } from "../options.js";
import type { Endpoint } from "./endpoint.js";

/** Opens a connection; the caller listens for "connect" or "secureConnect", and for "error". */
export function connectSocket(endpoint: Endpoint, options: TransportOptions["tls"], protocol: string): net.Socket {
  if (endpoint.kind === "unix") return net.connect({ path: endpoint.path });
  const { host, port } = endpoint;
  if (!endpoint.secure) return net.connect({ host, port, noDelay: true });
  return tls.connect({
    host,
    port,
    ...toTlsOptions(options),
    // A name is sent only for names: an address is no server name.
    servername: options?.serverName ?? (net.isIP(host) ? "" : host),
    ALPNProtocols: [protocol],
  });
}

/** The client's side of TLS, for Node. */
export function toTlsOptions(options: TransportOptions["tls"]): tls.ConnectionOptions {
  return {
    ...(options?.ca !== undefined && { ca: toPem(options.ca) }),
    ...(options?.key !== undefined && { key: toPem(options.key) }),
    ...(options?.cert !== undefined && { cert: toPem(options.cert) }),
  };
}

function toPem(pem: string | Uint8Array): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}

/** The call was never sent. */
export function unreachable(endpoint: Endpoint, cause: unknown): ConnectError {
  const where = endpoint.kind === "unix" ? `unix:${endpoint.path}` : endpoint.authority;
  const why = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : String(cause);
  return new ConnectError(`cannot connect to ${where}: ${why}`, Code.Unavailable, undefined, undefined, cause);
}

/** The call was sent, and nobody can say what became of it. */
export function connectionLost(cause: unknown): ConnectError {
  const message = "the connection was lost before the answer arrived; the call may have been carried out";
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}

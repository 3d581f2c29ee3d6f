import * as tls from "node:tls";
import { checkServer, type Identity, mutualTls } from "@mecha/identity";

/** How long a connection to another runtime may take, handshake and all, in ms. */
export const connectTimeoutMs = 3_000;

/** After how long without a word the other host is asked whether it is still there, in ms. */
const keepAliveMs = 10_000;

/**
 * Begins a connection to an instance of an app, on which both sides prove who they are. In TLS 1.3 a client is through before the server has looked at
 * its certificate: who calls waits for the first word of the other side.
 */
export function connectTls(
  { current }: Identity,
  app: string,
  address: string,
  protocol: "h2" | "http/1.1",
): tls.TLSSocket {
  const { hostname, port } = new URL(`https://${address}`);
  const socket = tls.connect({
    ...mutualTls(current),
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || 443),
    ALPNProtocols: [protocol],
    checkServerIdentity: checkServer(current.id, app),
  });
  // Once there is a connection to set it on: a host that vanishes says nothing, and a session that is closing sends no pings.
  socket.once("secureConnect", () => socket.setKeepAlive(true, keepAliveMs));
  return socket.setNoDelay(true);
}

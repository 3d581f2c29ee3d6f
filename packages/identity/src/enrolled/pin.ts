import { X509Certificate } from "node:crypto";
import * as tls from "node:tls";
import { authorityHostname, fingerprintOf } from "../authority-id.js";
import { IdentityError } from "../identity.js";
import { tlsSettings } from "../verify.js";
import type { AuthorityAddress } from "./address.js";
import { AuthorityError } from "./errors.js";

const timeoutMs = 10_000;
/** A chain has few; a server may present what it likes. */
const maxPresented = 16;

/**
 * Asks a server that nobody vouches for yet which certificates it has, and finds the authority among them by its fingerprint. Nothing is sent on
 * this connection, and it proves nothing (anybody can present that certificate): the next one is verified by it.
 */
export async function findAuthority(
  address: AuthorityAddress,
  fingerprint: string,
  signal: AbortSignal,
): Promise<X509Certificate> {
  const presented = await askForCertificates(address, signal);
  const found = presented.find((certificate) => fingerprintOf(certificate) === fingerprint);
  if (found !== undefined) return found;
  throw new IdentityError(
    `${address.text} is not the authority that the token names, and the token was not sent to it: is this the right address, and the right token? If both are, somebody else answers there`,
  );
}

function askForCertificates({ host, port, text }: AuthorityAddress, signal: AbortSignal): Promise<X509Certificate[]> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      ...tlsSettings,
      host,
      port,
      servername: authorityHostname,
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: false,
    });
    const end = (result: X509Certificate[] | Error) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      socket.destroy();
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    const unreachable = (why: string) =>
      new AuthorityError(
        "unreachable",
        `the authority at ${text} cannot be reached: ${why}; does "mecha ca serve" run there?`,
      );
    const abort = () => end(unreachable("the runtime is stopping"));
    const timer = setTimeout(() => end(unreachable(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    signal.addEventListener("abort", abort);
    socket.once("secureConnect", () => end(chainOf(socket)));
    socket.on("error", (error: NodeJS.ErrnoException) => end(unreachable(error.code ?? error.message)));
    socket.once("close", () => end(unreachable("it closed the connection")));
    if (signal.aborted) abort();
  });
}

function chainOf(socket: tls.TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // The last one is its own issuer.
  while (next?.raw !== undefined && chain.length < maxPresented) {
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}

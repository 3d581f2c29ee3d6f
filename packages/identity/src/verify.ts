import { constants, X509Certificate } from "node:crypto";
import type { PeerCertificate, SecureContextOptions } from "node:tls";
import type { Credentials } from "./identity.js";
import { formatSpiffeId, parseSpiffeId, type SpiffeId, uriOf } from "./spiffe.js";

/** What every connection is like that certificates are proved on. */
export const tlsSettings = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  // A resumed session would skip the certificates, and outlive them.
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const satisfies SecureContextOptions;

/**
 * What both sides of every connection between runtimes ask for. OpenSSL verifies the chain and its times; who it is is verified here. The chain
 * may lead to any of the authorities that the credentials trust: there are two while one takes the place of the other.
 */
export function mutualTls(
  credentials: Credentials,
): SecureContextOptions & { requestCert: true; rejectUnauthorized: true } {
  return {
    ...credentials.secrets(),
    ...tlsSettings,
    requestCert: true,
    rejectUnauthorized: true,
  };
}

/** Who a peer is, or why it is refused. Its chain is verified already. */
export type Verdict = { readonly id: SpiffeId; readonly expireTime: number } | { readonly refusal: string };

/**
 * Reads who a peer is. It must be a runtime of our trust domain and namespace; the caller says whom else it expects. Hostnames and addresses
 * count for nothing: an app moves.
 */
export function verifyPeer(certificate: X509Certificate | undefined, self: SpiffeId, expectedApp?: string): Verdict {
  if (certificate === undefined) return { refusal: "it presented no certificate" };
  if (certificate.ca) return { refusal: "it presented the certificate of an authority" };
  const uri = uriOf(certificate);
  const id = uri === undefined ? undefined : parseSpiffeId(uri);
  if (id === undefined) return { refusal: `its certificate names no app (${uri ?? "no URI, or several"})` };
  const expected = { ...self, appId: expectedApp ?? id.appId };
  if (id.trustDomain !== self.trustDomain) {
    return { refusal: `it is of trust domain "${id.trustDomain}", not "${self.trustDomain}"` };
  }
  if (formatSpiffeId(id) !== formatSpiffeId(expected)) {
    return { refusal: `it is ${formatSpiffeId(id)}, not ${formatSpiffeId(expected)}` };
  }
  return { id, expireTime: certificate.validToDate.getTime() };
}

/** For `tls.connect`: refuses a server that is not the expected app, before anything is sent to it. */
export function checkServer(self: SpiffeId, expectedApp: string) {
  return (_host: string, peer: PeerCertificate): Error | undefined => {
    const verdict = verifyPeer(new X509Certificate(peer.raw), self, expectedApp);
    return "refusal" in verdict ? new Error(`refused the peer: ${verdict.refusal}`) : undefined;
  };
}

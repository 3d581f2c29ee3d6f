import type { X509Certificate } from "node:crypto";

/** The name in the certificate of every authority's server: by it TLS tells the authority from the runtimes that it vouches for, which have none. */
export const authorityHostname = "authority.mecha.internal";

/** The port of `mecha ca serve`. */
export const defaultAuthorityPort = 3602;

/** The most authorities that are trusted at a time. */
export const maxAuthorities = 8;

/** The SPIFFE id of an authority's server. An app's has the path `/ns/…/app/…`, so none can have this one. */
export const formatAuthorityId = (trustDomain: string): string => `spiffe://${trustDomain}/ca`;

/** By what a token names the authority: the SHA-256 of its certificate, in base64url. */
export const fingerprintOf = ({ fingerprint256 }: Pick<X509Certificate, "fingerprint256">): string =>
  Buffer.from(fingerprint256.replaceAll(":", ""), "hex").toString("base64url");

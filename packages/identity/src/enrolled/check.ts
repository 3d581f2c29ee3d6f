import { type KeyObject, X509Certificate } from "node:crypto";
import { maxAuthorities } from "../authority-id.js";
import { IdentityError, trustDomainOf } from "../identity.js";
import { formatSpiffeId, type SpiffeId, uriOf } from "../spiffe.js";
import type { Enrolled } from "./store.js";

/** The most certificates between a runtime and an authority, its own counted. */
const maxChain = 4;

/** What an authority answers. */
export interface Answer {
  readonly certificates: readonly Uint8Array[];
  readonly authorities: readonly Uint8Array[];
}

/** What was asked for. */
export interface Asked {
  readonly id: SpiffeId;
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  readonly tokenId: string;
  /** Ms since the epoch. */
  readonly now: number;
}

/** Takes an answer if it is what was asked for: an authority that errs is found out here, and not by whoever is called. */
export function checkAnswer({ certificates, authorities }: Answer, asked: Asked): Enrolled {
  const { id, key, publicKey, tokenId, now } = asked;
  const [leaf, ...intermediates] = parseAll(certificates, maxChain, "certificates");
  const trusted = parseAll(authorities, maxAuthorities, "authorities");
  const refuse = (why: string) => new IdentityError(`the authority answered with ${why}; nothing of it is used`);
  if (leaf === undefined) throw refuse("no certificate");
  if (!leaf.publicKey.equals(publicKey)) throw refuse("a certificate for another key");
  if (leaf.ca || uriOf(leaf) !== formatSpiffeId(id)) {
    throw refuse(`a certificate of ${uriOf(leaf) ?? "nobody"}, not of ${formatSpiffeId(id)}`);
  }
  if (now >= leaf.validToDate.getTime()) {
    throw refuse(`a certificate that expired on ${leaf.validTo}: is the clock of either host wrong?`);
  }
  const foreign = trusted.find((authority) => !authority.ca || trustDomainOf(authority) !== id.trustDomain);
  if (foreign !== undefined) throw refuse(`an authority that is not one of trust domain "${id.trustDomain}"`);
  const chain = [leaf, ...intermediates] as const;
  if (!leadsTo(chain, trusted)) throw refuse("a certificate that none of its authorities vouches for");
  return { id, key, certificates: chain, authorities: trusted, tokenId };
}

function parseAll(ders: readonly Uint8Array[], most: number, what: string): X509Certificate[] {
  if (ders.length > most)
    throw new IdentityError(`the authority answered with ${ders.length} ${what}; at most ${most} are read`);
  try {
    return ders.map((der) => new X509Certificate(der));
  } catch (cause) {
    throw new IdentityError("the authority answered with a certificate that cannot be read", { cause });
  }
}

/** Whether each certificate is issued by the next, and the last one by an authority. */
function leadsTo(chain: readonly X509Certificate[], authorities: readonly X509Certificate[]): boolean {
  const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate) =>
    issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  return chain.every((certificate, index) => {
    const next = chain[index + 1];
    return next === undefined
      ? authorities.some((authority) => isIssuedBy(certificate, authority))
      : isIssuedBy(certificate, next);
  });
}

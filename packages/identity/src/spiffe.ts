import type { X509Certificate } from "node:crypto";

/** Who a runtime is: the app it stands for, in a namespace of a trust domain. https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md */
export interface SpiffeId {
  /** Who vouches for it: lower-case letters, digits, ".", "-" and "_"; at most 255. */
  readonly trustDomain: string;
  readonly namespace: string;
  readonly appId: string;
}

/** Where nothing else is configured: a name that no public certificate can have (.internal is reserved for private use). */
export const defaultTrustDomain = "mecha.internal";

const trustDomainPattern = /^[a-z0-9._-]{1,255}$/;
const idPattern =
  /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\/app\/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)$/;

/** Whether a name can be a trust domain. */
export const isTrustDomain = (name: string): boolean => trustDomainPattern.test(name);

/** `spiffe://mecha.internal/ns/default/app/shop` */
export function formatSpiffeId({ trustDomain, namespace, appId }: SpiffeId): string {
  return `spiffe://${trustDomain}/ns/${namespace}/app/${appId}`;
}

/** Reads an id; undefined if it is no app's. Ids are compared as they are written: there is one way to write each. */
export function parseSpiffeId(uri: string): SpiffeId | undefined {
  const [, trustDomain, namespace, appId] = idPattern.exec(uri) ?? [];
  if (trustDomain === undefined || namespace === undefined || appId === undefined) return undefined;
  return { trustDomain, namespace, appId };
}

/**
 * The one URI of a certificate, which is what makes it a SPIFFE certificate; undefined if it has none or several.
 * https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md
 */
export function uriOf({ subjectAltName }: Pick<X509Certificate, "subjectAltName">): string | undefined {
  // Node quotes a name in which a separator stands (CVE-2021-44532). No such name is in a certificate that we accept, so none can pretend.
  if (subjectAltName === undefined || subjectAltName.includes('"')) return undefined;
  const uris = subjectAltName.split(", ").filter((name) => name.startsWith("URI:"));
  return uris.length === 1 ? uris[0]?.slice("URI:".length) : undefined;
}

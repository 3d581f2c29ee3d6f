/** What a token says. */
export interface TokenParts {
  /** Names the token. No secret: it stands in logs and lists. */
  readonly id: string;
  readonly secret: string;
  /** The SHA-256 of the authority's certificate, in base64url: who joins trusts that authority and no other, from the first connection on. */
  readonly fingerprint: string;
}

const pattern = /^mecha1\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;

/** `mecha1.<id>.<secret>.<fingerprint>`: a prefix that scanners for secrets can look for. */
export const formatToken = ({ id, secret, fingerprint }: TokenParts): string => `mecha1.${id}.${secret}.${fingerprint}`;

/** Reads a token, with the white space that a file or a copy brings along; undefined if it is none. */
export function parseToken(text: string): TokenParts | undefined {
  const [, id, secret, fingerprint] = pattern.exec(text.trim()) ?? [];
  if (id === undefined || secret === undefined || fingerprint === undefined) return undefined;
  return { id, secret, fingerprint };
}

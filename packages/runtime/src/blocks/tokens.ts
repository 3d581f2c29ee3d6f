import { hash } from "node:crypto";
import { badRequest } from "./validation.js";

/**
 * Page and resume tokens are opaque to callers: a digest of what they belong to, then where to go on. The digest is no secret: it keeps a
 * token from being used for another store, keyspace or prefix, and it holds across restarts and between runtimes; a forged one shows a caller
 * nothing that a list of its own keys would not.
 */
export interface TokenScope {
  /** "" digests are the same for the same parts only. */
  readonly digest: string;
}

const digestLength = 11;

/** The scope of tokens that belong to all of `parts`. */
export function tokenScope(...parts: readonly string[]): TokenScope {
  const text = parts.map((part) => `${part.length}:${part}`).join("");
  return { digest: hash("sha256", text, "base64url").slice(0, digestLength) };
}

/** A token of `scope` that says where to go on. */
export function sealToken(scope: TokenScope, position: string): string {
  return scope.digest + Buffer.from(position).toString("base64url");
}

/** Where to go on; throws BAD_REQUEST if the token is not one of `scope`. */
export function openToken(scope: TokenScope, field: string, token: string): string {
  const body = token.slice(digestLength);
  const position = Buffer.from(body, "base64url");
  // A NUL is in none that was sealed, and PostgreSQL would refuse it as text.
  if (token.startsWith(scope.digest) && body !== "" && !position.includes(0) && position.toString("base64url") === body)
    return position.toString();
  throw badRequest([
    {
      field,
      description:
        "is not one that this call was given; use it as it was, for the same store and target, or leave it out to begin anew",
    },
  ]);
}

import { crc32 } from "node:zlib";
import { ComponentError } from "../errors.js";

/** The resume tokens of one watch. */
export interface ResumeTokens {
  /** Makes the token of a position. The position is the store's own affair: any text. */
  encode(position: string): string;
  /** The position of a token; BAD_REQUEST if it was not made for the same keyspace and target, or was damaged since. */
  decode(token: string): string;
}

/**
 * Makes tokens that are good for one keyspace and target only: a checksum over all three precedes the position. It guards against
 * mistakes, not against forgery: a forged token shows its maker nothing that the watch would not.
 */
export function resumeTokens(
  keyspace: string,
  target: { readonly key: string } | { readonly prefix: string },
): ResumeTokens {
  const watched = crc32("key" in target ? `${keyspace}\0key\0${target.key}` : `${keyspace}\0prefix\0${target.prefix}`);
  const encode = (position: string) => `${crc32(position, watched).toString(36)}.${position}`;
  return {
    encode,
    decode(token) {
      const position = token.slice(token.indexOf(".") + 1);
      if (encode(position) === token) return position;
      const message = "the resume token was not given for this watch; start again without one";
      throw new ComponentError("BAD_REQUEST", message, {
        violations: [{ field: "resume_token", description: "was not given by this store for this key or prefix" }],
      });
    },
  };
}

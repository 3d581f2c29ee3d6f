import { inspect } from "node:util";
import type { IdentityLogger } from "../src/index.js";

/** A log that keeps what it is told, as text: everything that a logger could find in it, causes of errors included. */
export function createLog(): { readonly lines: string[]; readonly logger: IdentityLogger } {
  const lines: string[] = [];
  const write = (fields: object, message: string) => {
    lines.push(`${message} ${inspect(fields, { depth: 10, breakLength: Number.POSITIVE_INFINITY })}`);
  };
  return { lines, logger: { info: write, warn: write, error: write } };
}

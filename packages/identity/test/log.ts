import type { IdentityLogger } from "../src/index.js";

/** A log that keeps what it is told, as text. */
export function createLog(): { readonly lines: string[]; readonly logger: IdentityLogger } {
  const lines: string[] = [];
  const write = (fields: object, message: string) => {
    const told = { ...fields, ...("err" in fields && { err: String(fields.err) }) };
    lines.push(`${message} ${JSON.stringify(told)}`);
  };
  return { lines, logger: { info: write, warn: write, error: write } };
}

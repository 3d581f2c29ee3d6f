import type { RuntimeLogger } from "../src/index.js";

/** A log that keeps what it is told, as text. */
export function createLog(): { readonly lines: string[]; readonly logger: RuntimeLogger } {
  const lines: string[] = [];
  const write = (fields: object, message: string) => {
    const told = { ...fields, ...("err" in fields && { err: String(fields.err) }) };
    lines.push(`${message} ${JSON.stringify(told)}`);
  };
  const logger: RuntimeLogger = {
    level: "debug",
    isLevelEnabled: () => true,
    child: () => logger,
    debug: write,
    info: write,
    warn: write,
    error: write,
  };
  return { lines, logger };
}

import pc from "picocolors";
import { CliError, exitCodes } from "./errors.js";

/** The one line that tells what went wrong. Several lines only where there are several things wrong (resources). */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Tells an error on stderr and returns what to exit with. `MECHA_DEBUG=1` adds the stack. */
export function reportError(error: unknown): number {
  process.stderr.write(`${pc.red("mecha:")} ${describeError(error)}\n`);
  if (process.env.MECHA_DEBUG !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof CliError ? error.exitCode : exitCodes.failed;
}

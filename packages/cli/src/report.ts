import { CliError, exitCodes } from "./errors.js";
import pc from "./terminal/colors.js";

/** The line that tells what went wrong; where several things may be wrong, in resources, a line each. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // By its name: importing the class would load the runtime for every command.
  if (error.name !== "ConfigurationError") return error.message;
  return `nothing was started:\n  ${error.message.replaceAll("\n", "\n  ")}`;
}

/** Tells an error on stderr and returns what to exit with. `MECHA_DEBUG=1` adds the stack. */
export function reportError(error: unknown): number {
  process.stderr.write(`${pc.red("mecha:")} ${describeError(error)}\n`);
  if (process.env.MECHA_DEBUG !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof CliError ? error.exitCode : exitCodes.failed;
}

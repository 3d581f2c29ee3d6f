import type { Problem } from "@mecha/runtime";
import { CliError, exitCodes } from "./errors.js";
import pc from "./terminal/colors.js";

/** The line that tells what went wrong; where several things may be wrong, in resources, a line each. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // By its name: importing the class would load the runtime for every command.
  if (error.name === "MechaError" && "reason" in error && error.reason === "BAD_TOKEN")
    return wrongToken(error.message);
  if (error.name !== "ConfigurationError") return error.message;
  return `nothing was started:\n  ${error.message.replaceAll("\n", "\n  ")}`;
}

/** The runtime's words are for any caller; a person at a shell has two ways to send a token. */
function wrongToken(message: string): string {
  return `${message.split(";", 1)[0]}: say --token-file <path>, or set MECHA_API_TOKEN (mecha run gives it to the app)`;
}

/** Tells an error on stderr and returns what to exit with. `MECHA_DEBUG=1` adds the stack. */
export function reportError(error: unknown): number {
  process.stderr.write(`${pc.red("mecha:")} ${describeError(error)}\n`);
  if (process.env.MECHA_DEBUG !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof CliError ? error.exitCode : exitCodes.failed;
}

/** Tells what is wrong with resources on stderr, a line each. */
export function reportProblems(problems: readonly Problem[]): void {
  for (const { source, message } of problems) process.stderr.write(`${pc.red("✗")} ${source}: ${message}\n`);
}

import { CommanderError } from "@commander-js/extra-typings";
import manifest from "../package.json" with { type: "json" };
import { exitCodes } from "./errors.js";
import { createProgram } from "./program.js";
import { reportError } from "./report.js";

// A reader who has seen enough (`| head`) ends the program, and is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(exitCodes.ok);
  throw error;
});

/** Runs what the command line says; every error becomes a line and an exit code. */
export async function main(): Promise<void> {
  try {
    await createProgram(manifest.version).parseAsync();
  } catch (error) {
    // Commander has told already what is wrong with the command line, or printed the help.
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    else process.exitCode = reportError(error);
  }
}

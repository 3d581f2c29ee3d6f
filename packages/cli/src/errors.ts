import { constants } from "node:os";

/** What `mecha` exits with; scripts may rely on it. */
export const exitCodes = {
  ok: 0,
  /** Something went wrong; the last line on stderr says what, to what, and what to do. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** `mecha state get`: there is no such key. */
  absent: 3,
  /** `mecha state set|delete`: a precondition did not hold; nothing was written. */
  conflict: 4,
} as const;

/** What a shell makes of a process that a signal ended. */
export const signalExitCode = (signal: NodeJS.Signals) => 128 + constants.signals[signal];

/** An error that its reader can act on: told in one line, without a stack. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number = exitCodes.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The words for a failed system call, without Node's decoration. */
export function describeSystemError(error: unknown): string {
  switch (error instanceof Error && "code" in error ? error.code : undefined) {
    case "ENOENT":
      return "it does not exist";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EISDIR":
      return "it is a folder";
    case "EEXIST":
      return "it exists already";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** One argument of a command; a string is sent as UTF-8. */
export type Argument = string | Buffer;

/** A command, or what makes one for the run of the server that will get it. */
export type Command = readonly Argument[] | ((runId: string) => readonly Argument[]);

/** An answer of Redis. Byte strings are strings, or Buffers where the caller asked for `binary`. */
export type Reply = string | number | Buffer | null | undefined | readonly Reply[];

/** What a command carries. */
export interface SendOptions {
  /** Gives the caller up; the command itself goes on. */
  readonly signal?: AbortSignal | undefined;
  /** For a command of several callers, instead of `signal`: called again and again while it waits, to give up those that have gone. */
  readonly giveUp?: (() => void) | undefined;
  /** Answers with Buffers instead of strings. */
  readonly binary?: boolean;
}

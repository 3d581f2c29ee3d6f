import type { Outcome } from "../policy/conditions.js";
import type { HeaderMap } from "./headers.js";

/** One attempt of a call to another app, as it begins. */
export interface ObservedAttempt {
  readonly app: string;
  /** Where the instance is. */
  readonly address: string;
  /** 1 is the first. */
  readonly number: number;
  readonly method: string;
  readonly target: string;
  /** What is sent. */
  readonly headers: HeaderMap;
}

/** An attempt that is shown. */
export interface ShownAttempt {
  /** What is sent instead. */
  readonly headers: HeaderMap;
  /** Called once, when it is over: with how it ended, or without if its caller left; an answer has ended, too. */
  over(outcome: Outcome | undefined): void;
}

/** Is told of attempts, to show them. */
export interface AttemptObserver {
  /** An attempt begins; undefined if it is not to be shown. */
  begin(attempt: ObservedAttempt): ShownAttempt | undefined;
}

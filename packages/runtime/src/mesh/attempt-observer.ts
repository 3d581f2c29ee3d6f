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
  /** What is sent; what is added here goes along. */
  readonly headers: HeaderMap;
}

/** Is told of attempts, to show them. */
export interface AttemptObserver {
  /**
   * An attempt begins. The function that is returned is called once, when it is over: with how it ended, or without if its caller left; an
   * answer has ended, too.
   */
  begin(attempt: ObservedAttempt): (outcome: Outcome | undefined) => void;
}

import type { Clock } from "@mecha/component";
import type { ProbePlan } from "./plan.js";

/** How soon after it was found away something is asked again, in ms: often it is only starting anew. */
const suspectedIntervalMs = 50;

/** Asks one question again and again. */
export interface Prober {
  /** Takes it for not well from now on, until it is asked again, which is soon. */
  suspect(): void;
  close(): void;
}

export interface ProberOptions {
  readonly plan: Omit<ProbePlan, "ask">;
  /** Undefined if all is well, else what is wrong. */
  ask(): Promise<string | undefined>;
  readonly clock: Clock;
  /** Told when the answer is believed and differs from the one before; nothing is well at first. A failure that lasts is told again after as many more. */
  onTurn(well: boolean, why: string): void;
}

/** Asks from now on, one question after the other. */
export function createProber({ plan, ask, clock, onTurn }: ProberOptions): Prober {
  const { intervalMs, waitingIntervalMs = intervalMs, failures, successes } = plan;
  let well = false;
  let closed = false;
  /** Answers in a row of the kind that would turn it. */
  let failed = 0;
  let succeeded = 0;
  let round = 0;
  let cancel = () => {};

  const next = async () => {
    const own = ++round;
    const wrong = await ask();
    // It was closed or suspected meanwhile: what was asked before tells nothing about now.
    if (closed || own !== round) return;
    failed = wrong === undefined ? 0 : failed + 1;
    succeeded = wrong === undefined ? succeeded + 1 : 0;
    const turns = wrong === undefined ? !well && succeeded >= successes : failed >= failures;
    if (turns) {
      failed = 0;
      well = wrong === undefined;
    }
    // Scheduled before anybody is told: they may suspect it again, or close this.
    after(well ? intervalMs : waitingIntervalMs);
    if (turns) onTurn(well, wrong ?? "");
  };
  const after = (delayMs: number) => {
    cancel();
    cancel = clock.after(delayMs, () => void next());
  };

  void next();
  return {
    suspect() {
      if (closed) return;
      round++;
      well = false;
      failed = 0;
      succeeded = 0;
      after(suspectedIntervalMs);
      onTurn(false, "it could not be reached");
    },
    close() {
      closed = true;
      cancel();
    },
  };
}

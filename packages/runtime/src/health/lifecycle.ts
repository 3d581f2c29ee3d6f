/** Where a runtime is in its life. */
export type Phase = "starting" | "ready" | "draining" | "stopped";

/** The phase, and who wants to know when it turns. */
export interface Lifecycle {
  readonly phase: Phase;
  turn(phase: Phase): void;
  /** Calls back after every turn; the function that is returned stops that. */
  onTurn(listener: () => void): () => void;
}

/** A lifecycle that starts. */
export function createLifecycle(): Lifecycle {
  let phase: Phase = "starting";
  const listeners = new Set<() => void>();
  return {
    get phase() {
      return phase;
    },
    turn(next) {
      phase = next;
      for (const listener of listeners) listener();
    },
    onTurn(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

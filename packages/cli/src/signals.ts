import { signalExitCode } from "./errors.js";

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What to do when the process is asked to stop: gently first, and at once when asked again. */
export interface SignalHandlers {
  first(signal: NodeJS.Signals): void;
  second(signal: NodeJS.Signals): void;
}

/** From now on, signals that ask the process to stop call `handlers`. The function that is returned makes them end the process at once. */
export function handleSignals(handlers: SignalHandlers): () => void {
  let asked = false;
  const listener = (signal: NodeJS.Signals) => {
    if (asked) return handlers.second(signal);
    asked = true;
    handlers.first(signal);
  };
  for (const signal of stopSignals) process.on(signal, listener);
  return () => {
    for (const signal of stopSignals) {
      process.off(signal, listener);
      process.on(signal, () => process.exit(signalExitCode(signal)));
    }
  };
}

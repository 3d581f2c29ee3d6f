const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What to do when the process is asked to stop: gently first, and at once when asked again. */
export interface SignalHandlers {
  first(signal: NodeJS.Signals): void;
  second(signal: NodeJS.Signals): void;
}

/** Hears the signals that ask a process to stop, from the moment it is made. */
export interface SignalListener {
  /** The first one that came; undefined if none did. */
  readonly received: NodeJS.Signals | undefined;
  /** From now on calls `handlers`; if a signal came already, `first` is called for it now. */
  handle(handlers: SignalHandlers): void;
  /** Stops listening: signals do again what they do by default. */
  close(): void;
}

export function listenForSignals(): SignalListener {
  let received: NodeJS.Signals | undefined;
  let handlers: SignalHandlers | undefined;
  const listener = (signal: NodeJS.Signals) => {
    if (received !== undefined) handlers?.second(signal);
    else {
      received = signal;
      handlers?.first(signal);
    }
  };
  for (const signal of stopSignals) process.on(signal, listener);
  return {
    get received() {
      return received;
    },
    handle(next) {
      handlers = next;
      if (received !== undefined) next.first(received);
    },
    close() {
      for (const signal of stopSignals) process.off(signal, listener);
    },
  };
}

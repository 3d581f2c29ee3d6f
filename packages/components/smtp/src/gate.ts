/** Lets so many through at a time; the others wait, in their order. */
export interface Gate {
  /** Rejects with the signal's reason if it aborts before the turn comes. */
  pass<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

export function createGate(width: number): Gate {
  let inside = 0;
  const waiting = new Set<() => void>();

  const enter = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      if (inside < width) {
        inside += 1;
        return resolve();
      }
      const leave = () => {
        waiting.delete(turn);
        reject(signal.reason);
      };
      // Whoever leaves hands on the place: `inside` stays.
      const turn = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      waiting.add(turn);
      signal.addEventListener("abort", leave, { once: true });
    });

  const leave = () => {
    const [next] = waiting;
    if (next === undefined) {
      inside -= 1;
      return;
    }
    waiting.delete(next);
    next();
  };

  return {
    async pass(signal, work) {
      await enter(signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}

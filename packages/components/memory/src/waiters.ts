/** Those who wait for a change to a key, or to any key by a prefix. Being woken takes them off; they wait anew. */
export class Waiters {
  readonly #byKey = new Map<string, Set<() => void>>();
  readonly #byPrefix = new Map<string, Set<() => void>>();

  /** Calls `wake` once, at the next change; what is returned takes it off. */
  add(target: { readonly key: string } | { readonly prefix: string }, wake: () => void): () => void {
    const [waiting, name] = "key" in target ? [this.#byKey, target.key] : [this.#byPrefix, target.prefix];
    const group = waiting.get(name) ?? new Set();
    waiting.set(name, group.add(wake));
    return () => {
      group.delete(wake);
      if (group.size === 0 && waiting.get(name) === group) waiting.delete(name);
    };
  }

  /** Wakes those who wait for `key`. */
  wake(key: string): void {
    if (this.#byKey.size > 0) wakeGroup(this.#byKey, key);
    for (const prefix of this.#byPrefix.keys()) if (key.startsWith(prefix)) wakeGroup(this.#byPrefix, prefix);
  }

  wakeAll(): void {
    for (const waiting of [this.#byKey, this.#byPrefix]) for (const name of waiting.keys()) wakeGroup(waiting, name);
  }
}

function wakeGroup(waiting: Map<string, Set<() => void>>, name: string): void {
  const group = waiting.get(name);
  waiting.delete(name);
  for (const wake of group ?? []) wake();
}

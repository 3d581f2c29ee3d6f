/** A generator of the same numbers each time, 0 to 1 (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Pearson's statistic of what was counted against shares. */
export function chiSquare(counts: readonly number[], shares: readonly number[]): number {
  const picks = counts.reduce((sum, count) => sum + count, 0);
  const total = shares.reduce((sum, share) => sum + share, 0);
  return counts.reduce((sum, found, index) => {
    const expected = (picks * (shares[index] ?? 0)) / total;
    return sum + (found - expected) ** 2 / expected;
  }, 0);
}

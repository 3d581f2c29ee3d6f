/** The pause before the next attempt to reach a server that is away, in ms: 50, 100, 200 … 2000, a fifth more or less at random. */
export function backoffMs(attempt: number): number {
  return Math.min(2_000, 50 * 2 ** attempt) * (0.8 + 0.4 * Math.random());
}

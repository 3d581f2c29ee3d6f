/** Of what calls took, in ms. */
export interface Percentiles {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

export const percentileNames = ["p50Ms", "p90Ms", "p99Ms"] as const satisfies readonly (keyof Percentiles)[];

/** NaN of no calls. */
export function percentilesOf(milliseconds: readonly number[]): Percentiles {
  const sorted = milliseconds.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) };
}

/** How much more the first takes. */
export function differenceOf(of: Percentiles, than: Percentiles): Percentiles {
  return { p50Ms: of.p50Ms - than.p50Ms, p90Ms: of.p90Ms - than.p90Ms, p99Ms: of.p99Ms - than.p99Ms };
}

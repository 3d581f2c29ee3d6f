/** What became of a subscription's deliveries since it began. */
export interface DeliveryCounts {
  inFlight: number;
  acked: number;
  retried: number;
  rejected: number;
  unmatched: number;
  /** Handed back untried, since the app was away. */
  released: number;
}

export const newCounts = (): DeliveryCounts => ({
  inFlight: 0,
  acked: 0,
  retried: 0,
  rejected: 0,
  unmatched: 0,
  released: 0,
});

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

/** A time in ms since the epoch as a message. */
export function toTimestamp(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1000) * 1_000_000,
  };
}

/** A message's time in ms since the epoch. */
export function fromTimestamp({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1000 + nanos / 1_000_000;
}

/** A duration in whole ms, rounded up, so that nothing ends early; undefined if it is malformed. */
export function toMs({ seconds, nanos }: Duration): number | undefined {
  const sameSign = nanos === 0 || seconds === 0n || nanos > 0 === seconds > 0n;
  if (!sameSign || Math.abs(nanos) >= 1e9) return undefined;
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}

/** A length of time in ms as a message. */
export function toDuration(ms: number): Duration {
  const seconds = Math.floor(ms / 1000);
  return {
    $typeName: "google.protobuf.Duration",
    seconds: BigInt(seconds),
    nanos: Math.round((ms - seconds * 1000) * 1_000_000),
  };
}

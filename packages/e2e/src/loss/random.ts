import { hash } from "node:crypto";

/** A number from 0 to 1; the same ones in the same order for the same seed. */
export type Random = () => number;

/** Makes {@link Random} (mulberry32, a public-domain generator of 32 bits: chance for tests needs no more). */
export function createRandom(...seed: readonly (string | number)[]): Random {
  let state = Number.parseInt(hash("sha256", seed.join(" ")).slice(0, 8), 16);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from `from` up to, without, `to`. */
export const integer = (random: Random, from: number, to: number): number => from + Math.floor(random() * (to - from));

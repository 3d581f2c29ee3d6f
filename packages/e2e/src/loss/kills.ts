import { integer, type Random } from "./random.ts";

/** Who is killed. */
export type Victim = "publisher" | "runtime" | "subscriber" | "server";

/** One kill of a round. */
export interface Kill {
  readonly victim: Victim;
  /** Which of several publishers. */
  readonly index: number;
  /** When, in ms since the round began. */
  readonly atMs: number;
  /** How long it stays away, in ms. */
  readonly downMs: number;
}

const windowMs = 2_500;
const maxDownMs = 400;

/** Kills of one round: each of these once, two of the publishers, at any moment; so that one may be down while the other is killed. */
export function planKills(random: Random, publishers: number, hasServer: boolean): Kill[] {
  const first = integer(random, 0, publishers);
  const second = (first + integer(random, 1, publishers)) % publishers;
  const victims: [Victim, number][] = [
    ["publisher", first],
    ["publisher", second],
    ["subscriber", 0],
    ["runtime", 0],
    ...(hasServer ? [["server", 0] as [Victim, number]] : []),
  ];
  return victims.map(([victim, index]) => ({
    victim,
    index,
    atMs: integer(random, 0, windowMs),
    downMs: integer(random, 0, maxDownMs),
  }));
}

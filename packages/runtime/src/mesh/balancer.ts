import type { Instance } from "@mecha/component";

/** An instance that may get a call. */
export interface Endpoint {
  instance: Instance;
  /** Calls that it has not answered yet. */
  inFlight: number;
  /** When it last answered well, by the clock; 0 if it has not. */
  answeredAt: number;
}

/** Chooses who gets a call. One small function: another way to balance is another of these. */
export interface Balancer {
  /**
   * One of `endpoints`, of which there is one at least; each has a weight above 0.
   *
   * @param key what calls that belong together have in common, if there is something
   */
  pick(endpoints: readonly Endpoint[], key?: string): Endpoint;
}

/** The ways to balance, by name. `random` gives numbers from 0 to 1, without 1. */
export const balancers = {
  "least-request": leastRequest,
  "round-robin": roundRobin,
  random: randomly,
  "ring-hash": ringHash,
} as const satisfies Record<string, (random: () => number) => Balancer>;

/** One after the other, by weight: over any hundred picks each gets its share, evenly spread ("smooth" weighted round robin). */
export function roundRobin(): Balancer {
  const credits = new WeakMap<Endpoint, number>();
  return {
    pick(endpoints) {
      const total = totalWeight(endpoints);
      let chosen = first(endpoints);
      let most = Number.NEGATIVE_INFINITY;
      for (const endpoint of endpoints) {
        const credit = (credits.get(endpoint) ?? 0) + endpoint.instance.weight;
        credits.set(endpoint, credit);
        if (credit > most) {
          most = credit;
          chosen = endpoint;
        }
      }
      credits.set(chosen, most - total);
      return chosen;
    },
  };
}

/** Of two at random, by weight, the one with fewer calls in flight for its weight: a slow instance gets less, and nobody is flooded. */
export function leastRequest(random: () => number): Balancer {
  return {
    pick(endpoints) {
      if (endpoints.length === 1) return first(endpoints);
      const [one, other] = [pickByWeight(endpoints, random()), pickByWeight(endpoints, random())];
      return loadOf(other) < loadOf(one) ? other : one;
    },
  };
}

/** Any, by weight. */
export function randomly(random: () => number): Balancer {
  return { pick: (endpoints) => pickByWeight(endpoints, random()) };
}

/**
 * The same for the same key, wherever the runtime that asks: by the highest random weight (https://www.snia.org/sites/default/files/SDC15_presentations/dist_sys/Jason_Resch_New_Consistent_Hashings_Rev.pdf),
 * which moves what a ring moves when an instance comes or goes, its share and nothing else, and gives each exactly its weight, without
 * a ring to keep. Instances are told by their addresses, which outlive a restart.
 */
export function ringHash(random: () => number): Balancer {
  return {
    pick(endpoints, key) {
      if (key === undefined) return pickByWeight(endpoints, random());
      const keyHash = hash(key);
      let chosen = first(endpoints);
      let best = Number.NEGATIVE_INFINITY;
      for (const endpoint of endpoints) {
        const { address, weight } = endpoint.instance;
        const drawn = (mix(keyHash ^ hash(address)) + 0.5) / 2 ** 32;
        const score = -weight / Math.log(drawn);
        if (score > best) {
          best = score;
          chosen = endpoint;
        }
      }
      return chosen;
    },
  };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value;
}

/** Spreads what differs in a bit over all of them (the end of MurmurHash3). */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const loadOf = ({ inFlight, instance }: Endpoint) => inFlight / instance.weight;

const totalWeight = (endpoints: readonly Endpoint[]) =>
  endpoints.reduce((sum, { instance }) => sum + instance.weight, 0);

/** @param at 0 to 1, where on the line of all weights */
function pickByWeight(endpoints: readonly Endpoint[], at: number): Endpoint {
  let left = at * totalWeight(endpoints);
  for (const endpoint of endpoints) {
    left -= endpoint.instance.weight;
    if (left < 0) return endpoint;
  }
  return first(endpoints);
}

function first(endpoints: readonly Endpoint[]): Endpoint {
  const [endpoint] = endpoints;
  if (endpoint === undefined) throw new Error("there is nobody to choose");
  return endpoint;
}

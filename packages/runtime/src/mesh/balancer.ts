import type { Instance } from "@mecha/component";

/** An instance that may get a call. */
export interface Endpoint {
  instance: Instance;
  /** Calls that it has not answered yet. */
  inFlight: number;
}

/** Chooses who gets a call. One small function: another way to balance is another of these. */
export interface Balancer {
  /** One of `endpoints`, of which there is one at least; each has a weight above 0. */
  pick(endpoints: readonly Endpoint[]): Endpoint;
}

/** The ways to balance, by name. */
export const balancers = {
  "least-request": (): Balancer => leastRequest(Math.random),
  "round-robin": (): Balancer => roundRobin(),
} as const;

/** One after the other, by weight: over any hundred picks each gets its share, evenly spread ("smooth" weighted round robin). */
export function roundRobin(): Balancer {
  const credits = new WeakMap<Endpoint, number>();
  return {
    pick(endpoints) {
      const total = endpoints.reduce((sum, { instance }) => sum + instance.weight, 0);
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

const loadOf = ({ inFlight, instance }: Endpoint) => inFlight / instance.weight;

/** @param at 0 to 1, where on the line of all weights */
function pickByWeight(endpoints: readonly Endpoint[], at: number): Endpoint {
  const total = endpoints.reduce((sum, { instance }) => sum + instance.weight, 0);
  let left = at * total;
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

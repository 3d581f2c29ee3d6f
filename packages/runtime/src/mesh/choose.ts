import type { IncomingHttpHeaders } from "node:http";
import { ComponentError } from "@mecha/component";
import { describeShare, drawShare, hasWeights, isIn, shareByHeaders } from "../policy/sections/split.js";
import type { Endpoint } from "./balancer.js";
import type { Engines } from "./engines.js";

/** What an instance is chosen by. */
export interface Choice {
  readonly app: string;
  readonly engines: Pick<Engines, "split" | "balancer" | "hashOn" | "ejections">;
  readonly headers: IncomingHttpHeaders;
  /** Those that were tried for this call. */
  readonly tried: ReadonlySet<Endpoint>;
  /** When the attempt before this one began, by the clock; undefined for the first. */
  readonly retriedSince: number | undefined;
  /** Whether an instance could not be reached a moment ago. */
  isAvoided(endpoint: Endpoint): boolean;
  readonly random: () => number;
}

/** Chooses the instance for an attempt, of `endpoints`; undefined if all were tried. Throws APP_UNAVAILABLE if none may have the call. */
export function choose(endpoints: readonly Endpoint[], choice: Choice): Endpoint | undefined {
  const { engines, tried, retriedSince } = choice;
  const { split, ejections, balancer } = engines;
  const mayHave = split === undefined ? endpoints : ofSplit(endpoints, split, choice);
  const isGood = (endpoint: Endpoint) =>
    !tried.has(endpoint) && ejections.mayCall(endpoint) && !choice.isAvoided(endpoint);
  // As a rule all are.
  const good = mayHave.every(isGood) ? mayHave : mayHave.filter(isGood);
  const among = good.length > 0 ? good : lastResort(mayHave, choice);
  if (among.length === 0) return undefined;
  const trusted = retriedSince === undefined ? among : trustedOf(among, engines.ejections, retriedSince);
  const drawn = split !== undefined && isByWeight(split, choice) ? drawShare(split, trusted, choice.random) : trusted;
  return balancer.pick(drawn, keyOf(choice));
}

/**
 * A call that went wrong once is not spent on finding out how other instances are: that is left to first attempts. Better one that has answered since
 * the last attempt began, for one that hangs shows no other sign at first; else one whose last call did not fail.
 */
function trustedOf(
  endpoints: readonly Endpoint[],
  ejections: Engines["ejections"],
  since: number,
): readonly Endpoint[] {
  const unblemished = endpoints.filter((endpoint) => !ejections.isInDoubt(endpoint));
  const alive = unblemished.filter(({ answeredAt }) => answeredAt >= since);
  return alive.length > 0 ? alive : unblemished.length > 0 ? unblemished : endpoints;
}

/** None is in order: better one that failed than none, and one that was left out than one that cannot be reached. */
function lastResort(endpoints: readonly Endpoint[], { tried, isAvoided }: Choice): readonly Endpoint[] {
  const left = endpoints.filter((endpoint) => !tried.has(endpoint));
  const reached = left.filter((endpoint) => !isAvoided(endpoint));
  return reached.length > 0 ? reached : left;
}

type Split = NonNullable<Engines["split"]>;

const isByWeight = (split: Split, { headers }: Choice) =>
  hasWeights(split) && shareByHeaders(split, headers) === undefined;

/** The instances that a call may go to at all. */
function ofSplit(endpoints: readonly Endpoint[], split: Split, { app, headers }: Choice): readonly Endpoint[] {
  const named = shareByHeaders(split, headers);
  if (named === undefined && !hasWeights(split)) return endpoints;
  const shares = named === undefined ? split.filter(({ weight = 0 }) => weight > 0) : [named];
  const members = endpoints.filter((endpoint) => shares.some((share) => isIn(share, endpoint)));
  if (members.length > 0) return members;
  const wanted = shares.map(describeShare).join(", ");
  const versions = new Set(endpoints.map(({ instance }) => instance.version || "none"));
  const message = `no instance of app "${app}" is of ${wanted}, where its policy sends the call; there are of version: ${[...versions].join(", ")}`;
  throw new ComponentError("APP_UNAVAILABLE", message, { metadata: { app }, retryAfterMs: 1_000 });
}

function keyOf({ engines: { hashOn }, headers }: Choice): string | undefined {
  if (hashOn === undefined) return undefined;
  if ("header" in hashOn) {
    const value = headers[hashOn.header];
    return value === undefined ? undefined : String(value);
  }
  for (const pair of (headers.cookie ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (pair.slice(0, at).trim() === hashOn.cookie) return pair.slice(at + 1).trim();
  }
  return undefined;
}

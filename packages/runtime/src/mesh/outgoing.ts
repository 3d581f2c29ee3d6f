import { ComponentError } from "@mecha/component";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Balancer, Endpoint } from "./balancer.js";
import type { Directory } from "./directory.js";
import type { Failure, Inbound, OutboundRequest } from "./exchange.js";
import { endToEnd, hopsHeader, hopsOf, maxHops } from "./headers.js";
import { normalizeTarget } from "./path.js";
import type { Peers } from "./peers.js";
import { appUnavailable, refuse } from "./refusal.js";
import { relay } from "./relay.js";
import { sendHttp2 } from "./send-http2.js";

/** Passes the app's calls on to other apps. */
export interface Outgoing {
  /** Passes one call on and its answer back, or refuses it; `inbound.target` is what the other app shall get. Settles when the answer has begun. */
  call(app: string, inbound: Inbound): Promise<void>;
}

export interface OutgoingOptions {
  readonly directory: Directory;
  readonly peers: Peers;
  readonly balancer: Balancer;
  readonly logger: RuntimeLogger;
}

export function createOutgoing({ directory, peers, balancer, logger }: OutgoingOptions): Outgoing {
  async function send(app: string, inbound: Inbound): Promise<void> {
    const request = toRequest(inbound);
    const { endpoints, weightless } = await directory.find(app);
    if (endpoints.length === 0) throw appUnavailable(app, nobody(app, weightless));
    const left = [...endpoints];
    let last: Failure | undefined;
    while (left.length > 0) {
      const endpoint = choose(app, left);
      left.splice(left.indexOf(endpoint), 1);
      const outcome = await attempt(app, endpoint, inbound, request);
      if (outcome === undefined) return;
      last = outcome;
      logger.debug(
        { app, address: endpoint.instance.address, error: last.error.message },
        "an instance did not take a call",
      );
      if (!last.untouched) break;
    }
    const where = `none of the ${endpoints.length} instance${endpoints.length === 1 ? "" : "s"} of app "${app}" took the call`;
    const whether = last?.untouched ? "" : "; it may have reached the app";
    throw appUnavailable(app, `${where}${whether}: ${last?.error.message ?? "none is left"}`);
  }

  /** Those that could not be reached a moment ago come last. */
  function choose(app: string, left: readonly Endpoint[]): Endpoint {
    const good = left.filter(({ instance }) => !peers.isAvoided(app, instance.address));
    return balancer.pick(good.length > 0 ? good : left);
  }

  /** Tries one instance; undefined if that settled the call. */
  async function attempt(
    app: string,
    endpoint: Endpoint,
    inbound: Inbound,
    request: OutboundRequest,
  ): Promise<Failure | undefined> {
    endpoint.inFlight += 1;
    let counted = true;
    const done = () => {
      if (counted) endpoint.inFlight -= 1;
      counted = false;
    };
    try {
      const found = peers.session(app, endpoint.instance.address);
      const session = found instanceof Promise ? await found : found;
      const { attempt, bodyUsed } = await relay(inbound, request, (...call) => sendHttp2(session, app, ...call), done);
      if (attempt === "answered" || attempt === "gone") return undefined;
      return { error: attempt.error, untouched: attempt.untouched && !bodyUsed };
    } catch (error) {
      done();
      return { error: error instanceof Error ? error : new Error(String(error)), untouched: true };
    }
  }

  return {
    async call(app, inbound) {
      try {
        await send(app, inbound);
      } catch (error) {
        if (!inbound.responded) refuse(inbound, error, logger);
      }
    },
  };
}

/** What goes on of a request. */
function toRequest(inbound: Inbound): OutboundRequest {
  const { method, hasBody, awaitsContinue } = inbound;
  const hops = hopsOf(inbound.headers);
  if (hops === undefined || hops >= maxHops) {
    const message = `the call was passed on ${maxHops} times (${hopsHeader}): apps call one another in a circle`;
    throw new ComponentError("TOO_MANY_HOPS", message);
  }
  const { expect: _, ...rest } = endToEnd(inbound.headers);
  const headers = { ...rest, [hopsHeader]: String(hops + 1) };
  return { method, target: targetOf(inbound), headers, hasBody, awaitsContinue: awaitsContinue && hasBody };
}

function targetOf({ method, target }: Inbound): string {
  if (method === "TRACE") throw new ComponentError("BAD_REQUEST", "method TRACE is not passed on");
  return normalizeTarget(target);
}

function nobody(app: string, weightless: number): string {
  return weightless === 0
    ? `app "${app}" has no instance now: it is down, or just starting`
    : `all ${weightless} instances of app "${app}" have weight 0, so none takes calls`;
}

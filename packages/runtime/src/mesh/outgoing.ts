import { type Clock, ComponentError } from "@mecha/component";
import type { Policies } from "../policy/policies.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { AttemptObserver } from "./attempt-observer.js";
import type { balancers } from "./balancer.js";
import type { KeptBytes } from "./body.js";
import type { Directory } from "./directory.js";
import { createEngines } from "./engines.js";
import type { Inbound, OutboundRequest } from "./exchange.js";
import { endToEnd, hopsHeader, hopsOf, maxHops } from "./headers.js";
import { requireMethod } from "./method.js";
import { OutgoingCall } from "./outgoing-call.js";
import { normalizeTarget, withoutQuery } from "./path.js";
import type { Peers } from "./peers.js";
import { refuse } from "./refusal.js";

/** Passes the app's calls on to other apps. */
export interface Outgoing {
  /** Passes one call on and its answer back, or refuses it; `inbound.target` is what the other app shall get. Settles when the answer has begun. */
  call(app: string, inbound: Inbound, options?: CallOptions): Promise<void>;
}

export interface CallOptions {
  /** What a caller is told instead of an error of the runtime's own. Default: the error. */
  readonly disguise?: (error: unknown) => unknown;
}

export interface OutgoingOptions {
  /** The app that calls. */
  readonly appId: string;
  readonly directory: Directory;
  readonly peers: Peers;
  readonly policies: Policies;
  /** How calls are spread where no policy says it. */
  readonly balancing: keyof typeof balancers;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
  /** Is told of every attempt. Default: nobody is. */
  readonly observer?: AttemptObserver | undefined;
  /** Numbers from 0 to 1, without 1. Default: `Math.random`. */
  readonly random?: () => number;
}

/** What calls share. */
export interface OutgoingContext extends Required<Omit<OutgoingOptions, "policies" | "balancing" | "observer">> {
  readonly observer: AttemptObserver | undefined;
  /** The bodies that are kept to be sent again. */
  readonly kept: KeptBytes;
}

export function createOutgoing({ policies, balancing, random = Math.random, ...options }: OutgoingOptions): Outgoing {
  const context: OutgoingContext = { observer: undefined, ...options, random, kept: { used: 0 } };
  const engines = createEngines({ policies, balancing, clock: options.clock, random });
  return {
    async call(app, inbound, { disguise = (error: unknown) => error } = {}) {
      try {
        const request = toRequest(inbound);
        const effective = policies.forCall(app, {
          from: options.appId,
          // What asks for a WebSocket is a GET to its caller.
          method: inbound.method === "CONNECT" ? "GET" : inbound.method,
          path: withoutQuery(request.target),
          headers: inbound.headers,
        });
        await new OutgoingCall(app, inbound, request, engines.of(app, effective), context).run();
      } catch (error) {
        if (!inbound.responded) refuse(inbound, disguise(error), options.logger);
      }
    },
  };
}

/** What goes on of a request. */
function toRequest(inbound: Inbound): OutboundRequest {
  const { method, hasBody, awaitsContinue, whole } = inbound;
  const hops = hopsOf(inbound.headers);
  if (hops === undefined || hops >= maxHops) {
    const message = `the call was passed on ${maxHops} times (${hopsHeader}): apps call one another in a circle`;
    throw new ComponentError("TOO_MANY_HOPS", message);
  }
  const headers = endToEnd(inbound.headers, "expect");
  headers[hopsHeader] = String(hops + 1);
  return { method, target: targetOf(inbound), headers, hasBody, whole, awaitsContinue: awaitsContinue && hasBody };
}

function targetOf({ method, target }: Inbound): string {
  requireMethod(method);
  return normalizeTarget(target);
}

import type { IncomingMessage } from "node:http";
import { type Clock, ComponentError } from "@mecha/component";
import type { WholeExchange } from "@mecha/rpc";
import type { Policies } from "../policy/policies.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Inbound } from "./exchange.js";
import { createFront, type Front } from "./front.js";
import { namesIn, saysOrigin } from "./headers.js";
import type { Outgoing } from "./outgoing.js";
import { normalizeTarget, withoutQuery } from "./path.js";
import { PromptInbound } from "./prompt-inbound.js";

export interface EdgeOptions {
  readonly appId: string;
  readonly outgoing: Outgoing;
  readonly policies: Policies;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

/**
 * Calls of outsiders, as they come in at the edge port: to apps that a policy exposes, and to no other. To those apps they are calls of this
 * runtime's app; whose they are in truth is for the apps' own policies to ask (`jwt`, `apiKeys`).
 */
export function createEdge({ appId, outgoing, policies, clock, logger }: EdgeOptions): Front {
  const allow = (app: string, { method, target, headers }: Inbound) => {
    const path = withoutQuery(normalizeTarget(target));
    const { edge } = policies.forCall(app, {
      from: appId,
      method: method === "CONNECT" ? "GET" : method,
      path,
      headers,
    });
    // An app that is not exposed is none to an outsider, whether it exists or not.
    if (edge?.value.expose !== true) throw new ComponentError("APP_NOT_FOUND", "there is nothing at this address");
  };
  const before = (inbound: Inbound) => new PromptInbound(inbound, idleBodyMs, clock);
  const front = createFront({ outgoing, token: undefined, allow, before, options: { disguise }, logger });
  return {
    handle(request, response) {
      introduce(originOf(request));
      front.handle(request, response);
    },
    handleWhole(exchange) {
      introduce(exchange);
      front.handleWhole(exchange);
    },
    upgrade(request, socket, head) {
      introduce(originOf(request));
      front.upgrade(request, socket, head);
    },
  };
}

/** How long an outsider may send nothing of a body that is waited for, in ms. */
const idleBodyMs = 30_000;

/** What an outsider is told: what to do, and nothing of who is behind the edge. */
function disguise(error: unknown): unknown {
  if (!(error instanceof ComponentError)) return error;
  const { retryAfterMs } = error;
  const options = retryAfterMs === undefined ? {} : { retryAfterMs };
  switch (error.reason) {
    case "BAD_REQUEST":
    case "TOO_LARGE":
      return error;
    case "APP_NOT_FOUND":
      return new ComponentError("APP_NOT_FOUND", "there is nothing at this address");
    case "RATE_LIMITED":
      return new ComponentError("RATE_LIMITED", "there are too many calls just now", options);
    case "DEADLINE_EXCEEDED":
      return new ComponentError("DEADLINE_EXCEEDED", "there was no answer in time");
    default:
      return new ComponentError("APP_UNAVAILABLE", "what is at this address cannot be reached just now", options);
  }
}

type Origin = Pick<WholeExchange, "headers" | "remoteAddress" | "secure">;

const originOf = ({ headers, socket }: IncomingMessage): Origin => {
  return { headers, remoteAddress: socket.remoteAddress, secure: "encrypted" in socket };
};

/** Says where a call is from. What it says of that itself anybody can write. */
function introduce({ headers, remoteAddress, secure }: Origin): void {
  // A caller who names a header in `connection` would have it left out on the way.
  for (const name of namesIn(headers.connection ?? "")) if (name !== "upgrade") delete headers[name];
  for (const name of Object.keys(headers)) if (saysOrigin(name)) delete headers[name];
  delete headers.connection;
  headers["x-forwarded-for"] = remoteAddress ?? "";
  headers["x-forwarded-proto"] = secure ? "https" : "http";
  headers["x-forwarded-host"] = String(headers[":authority"] ?? headers.host ?? "");
}

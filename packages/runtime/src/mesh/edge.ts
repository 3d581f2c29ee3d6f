import type { IncomingMessage } from "node:http";
import { ComponentError } from "@mecha/component";
import type { Policies } from "../policy/policies.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Inbound } from "./exchange.js";
import { createFront, type Front } from "./front.js";
import type { Outgoing } from "./outgoing.js";
import { normalizeTarget } from "./path.js";

export interface EdgeOptions {
  readonly appId: string;
  readonly outgoing: Outgoing;
  readonly policies: Policies;
  readonly logger: RuntimeLogger;
}

/**
 * Calls of outsiders, as they come in at the edge port: to apps that a policy exposes, and to no other. To those apps they are calls of this
 * runtime's app; whose they are in truth is for the apps' own policies to ask (`jwt`, `apiKeys`).
 */
export function createEdge({ appId, outgoing, policies, logger }: EdgeOptions): Front {
  const allow = (app: string, { method, target, headers }: Inbound) => {
    const path = normalizeTarget(target).replace(/\?.*$/, "");
    const { edge } = policies.forCall(app, {
      from: appId,
      method: method === "CONNECT" ? "GET" : method,
      path,
      headers,
    });
    // An app that is not exposed is none to an outsider, whether it exists or not.
    if (edge?.value.expose !== true) throw new ComponentError("APP_NOT_FOUND", "there is nothing at this address");
  };
  const front = createFront({ outgoing, token: undefined, allow, logger });
  return {
    handle(request, response) {
      introduce(request);
      front.handle(request, response);
    },
    upgrade(request, socket, head) {
      introduce(request);
      front.upgrade(request, socket, head);
    },
  };
}

/** Says where a call is from. What it says of that itself anybody can write. */
function introduce({ headers, socket }: IncomingMessage): void {
  delete headers.forwarded;
  headers["x-forwarded-for"] = socket.remoteAddress ?? "";
  headers["x-forwarded-proto"] = "encrypted" in socket ? "https" : "http";
  headers["x-forwarded-host"] = String(headers[":authority"] ?? headers.host ?? "");
}

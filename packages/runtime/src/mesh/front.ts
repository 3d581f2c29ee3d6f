import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { ComponentError, dnsLabelInWords, dnsLabelPattern } from "@mecha/component";
import type { WholeExchange } from "@mecha/rpc";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Inbound } from "./exchange.js";
import { appHeader, invokePrefix } from "./headers.js";
import { fromHttp } from "./inbound-http.js";
import { fromUpgrade } from "./inbound-upgrade.js";
import { fromWholeOfApp } from "./inbound-whole.js";
import type { CallOptions, Outgoing } from "./outgoing.js";
import { refuse } from "./refusal.js";

/** The app's own calls to other apps, as they come in at the app-facing port: under `/invoke/<app>/`, or with the header `mecha-app`. */
export interface Front {
  handle(request: IncomingMessage, response: ServerResponse): void;
  handleWhole(exchange: WholeExchange): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

export interface FrontOptions {
  readonly outgoing: Outgoing;
  /** What proves a caller to this runtime: it goes no further. */
  readonly token: string | undefined;
  /** Throws where a call may not go on. Default: all may. */
  allow?(app: string, inbound: Inbound): void;
  /** What stands before a request. Default: nothing. */
  before?(inbound: Inbound): Inbound;
  readonly options?: CallOptions;
  readonly logger: RuntimeLogger;
}

export function createFront({ outgoing, token, allow, before, options, logger }: FrontOptions): Front {
  const pass = (inbound: Inbound, { app }: Destination) => {
    try {
      allow?.(app, inbound);
    } catch (error) {
      return refuse(inbound, error, logger);
    }
    if (dnsLabelPattern.test(app)) void outgoing.call(app, before?.(inbound) ?? inbound, options);
    else {
      const message = `${JSON.stringify(app)} is no app id: it is ${dnsLabelInWords}`;
      refuse(inbound, new ComponentError("BAD_REQUEST", message), logger);
    }
  };
  return {
    handle(request, response) {
      dropToken(request, token);
      const destination = destinationOf(request);
      pass(fromHttp(request, response, destination.target), destination);
    },
    handleWhole(exchange) {
      dropToken(exchange, token);
      const destination = destinationOf(exchange);
      pass(fromWholeOfApp(exchange, destination.target), destination);
    },
    upgrade(request, socket, head) {
      dropToken(request, token);
      const destination = destinationOf(request);
      const inbound = fromUpgrade(request, socket, head, destination.target);
      if (request.method === "GET" && request.headers.upgrade?.toLowerCase() === "websocket")
        pass(inbound, destination);
      else {
        const message = `only WebSockets are passed on, not "${request.headers.upgrade}"`;
        refuse(inbound, new ComponentError("BAD_REQUEST", message), logger);
      }
    },
  };
}

interface Destination {
  readonly app: string;
  /** What the other app shall get: "/a/b?c". */
  readonly target: string;
}

/** What tells where a request goes, and who sends it. */
type Head = Pick<WholeExchange, "headers"> & { readonly url?: string | undefined };

function destinationOf({ url = "", headers }: Head): Destination {
  // The header first: a caller who names the app by it may have a path that somebody else wrote.
  const named = headers[appHeader];
  if (named !== undefined) return { app: String(named), target: url };
  const rest = url.slice(invokePrefix.length);
  const end = rest.search(/[/?]/);
  if (end === -1) return { app: rest, target: "/" };
  const target = rest.slice(end);
  return { app: rest.slice(0, end), target: target.startsWith("/") ? target : `/${target}` };
}

/** The other app must not learn what lets this one call its runtime; any other `authorization` is between the two apps. */
function dropToken({ headers }: Head, token: string | undefined): void {
  if (token === undefined) return;
  const { authorization } = headers;
  if (authorization !== undefined && /^bearer /i.test(authorization) && authorization.slice(7) === token) {
    delete headers.authorization;
  }
}

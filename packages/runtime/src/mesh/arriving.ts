import { type Clock, ComponentError } from "@mecha/component";
import type { Identity } from "@mecha/identity";
import type { AppHealth } from "../app/health.js";
import type { Gate, Verdict } from "../gate/gate.js";
import { limitBody, tooLarge } from "../gate/request.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { AppSender } from "./app-sender.js";
import { expires, timeoutHeader, timeoutOf, tooLong } from "./deadline.js";
import type { Inbound } from "./exchange.js";
import { callerHeader, endToEnd, type HeaderMap, hopsHeader, tokenHeader, untouchedHeader } from "./headers.js";
import { AnsweringWith } from "./inbound-proxy.js";
import { requireMethod } from "./method.js";
import { normalizeTarget, withoutQuery } from "./path.js";
import { appUnavailable, isRefused, refuse } from "./refusal.js";
import { relay } from "./relay.js";
import type { MeshTelemetry } from "./telemetry.js";

/** What passing calls to the app takes. */
export interface ArrivalContext {
  readonly identity: Identity;
  readonly app: AppSender;
  /** By which the app can tell its runtime's requests from others. */
  readonly appToken: string | undefined;
  readonly health: AppHealth;
  readonly gate: Gate;
  readonly telemetry: MeshTelemetry;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

/** A call of another runtime. */
export interface Arrival {
  /** The app that calls, as its certificate says. */
  readonly caller: string;
  /** The app that is called. */
  readonly called: string | undefined;
  readonly isWebSocket: boolean;
  readonly inbound: Inbound;
}

/** Passes a call of another runtime to the app, with who calls; what the gate refuses, or the app does not answer, is answered here. */
export async function arrive(
  context: ArrivalContext,
  { caller, called, isWebSocket, ...arrived }: Arrival,
): Promise<void> {
  const { identity, gate, health, telemetry, logger } = context;
  const self = identity.current.id.appId;
  const { headers } = arrived.inbound;
  let inbound = telemetry.watch({ direction: "incoming", from: caller, to: self }, arrived.inbound);
  let leave = () => {};
  try {
    if (called !== self) {
      const message = `this is the runtime of app "${self}", not of "${called}"`;
      throw new ComponentError("APP_NOT_FOUND", message, { metadata: { app: self } });
    }
    // The other runtime has done the same; but what the app gets is ours to answer for.
    requireMethod(inbound.method);
    const target = normalizeTarget(inbound.target);
    const admitted = gate.admit({
      from: caller,
      // What asks for a WebSocket is a GET to the app.
      method: isWebSocket ? "GET" : inbound.method,
      path: withoutQuery(target),
      headers,
      onGone: (gone) => inbound.onGone(gone),
    });
    const verdict = admitted instanceof Promise ? await admitted : admitted;
    leave = once(verdict.leave);
    if (verdict.answerHeaders !== undefined) inbound = new AnsweringWith(inbound, verdict.answerHeaders);
    if (verdict.isPreflight === true) return inbound.respondWhole(204, {}, new Uint8Array());
    if (verdict.refusal !== undefined) throw verdict.refusal;
    await pass(context, { caller, target, isWebSocket, inbound, verdict, leave });
  } catch (error) {
    leave();
    if (inbound.responded) return;
    const isAway = isRefused(error);
    if (isAway) health.suspect();
    const known = error instanceof ComponentError ? error : notAnswered(self, error);
    if (known !== error) logger.debug({ err: error, from: caller }, "the app did not answer a call");
    // The caller's runtime may then try another instance, whatever the call is.
    const untouched = isAway || (known.reason === "APP_UNAVAILABLE" && error === known);
    refuse(untouched ? new AnsweringWith(inbound, { [untouchedHeader]: "1" }) : inbound, known, logger);
  }
}

interface Passing {
  readonly caller: string;
  readonly target: string;
  readonly isWebSocket: boolean;
  readonly inbound: Inbound;
  readonly verdict: Verdict;
  readonly leave: () => void;
}

async function pass(context: ArrivalContext, { caller, target, isWebSocket, verdict, leave, ...given }: Passing) {
  const { app, clock, logger } = context;
  const inbound = limited(given.inbound, verdict.maxBytes, logger);
  const { method, hasBody, headers } = inbound;
  const timeoutMs = isWebSocket ? undefined : timeoutOf(headers);
  const awaitsContinue = isWebSocket || (hasBody && inbound.awaitsContinue);
  const all = forApp(context, { caller, headers, timeoutMs }, verdict);
  // What follows is no body until the app has granted it.
  if (isWebSocket) delete all["content-length"];
  const request = { method, target, headers: all, hasBody, awaitsContinue, whole: inbound.whole };
  const send = isWebSocket ? app.upgrade : await app.sender(String(headers["content-type"] ?? ""));
  let cancelTimer = () => {};
  let isOver = false;
  const over = () => {
    isOver = true;
    cancelTimer();
    leave();
  };
  const { attempt } = await relay(inbound, request, send, {
    over,
    stoppable(stop) {
      if (timeoutMs === undefined || isOver) return;
      // The caller's runtime has ended the call by then, unless it is gone; the app must not work for nobody.
      cancelTimer = expires(clock, timeoutMs, () => stop(tooLong(context.identity.current.id.appId, timeoutMs)));
    },
  });
  if (typeof attempt === "object") throw attempt.error;
}

/** The headers that the app gets. */
function forApp(
  { appToken }: ArrivalContext,
  { caller, headers, timeoutMs }: { caller: string; headers: Inbound["headers"]; timeoutMs: number | undefined },
  verdict: Verdict,
): HeaderMap {
  const all = verdict.filter(endToEnd(headers, "expect"));
  if (appToken !== undefined) {
    all[tokenHeader] = appToken;
    all.authorization ??= `Bearer ${appToken}`;
  }
  all[callerHeader] = caller;
  all[hopsHeader] = String(headers[hopsHeader] ?? 0);
  // What the app passes on with a call of its own, that call has no longer.
  if (timeoutMs !== undefined) all[timeoutHeader] = String(Math.ceil(timeoutMs));
  return all;
}

/** A request whose body may be as large as the app takes. */
function limited(inbound: Inbound, maxBytes: number | undefined, logger: RuntimeLogger): Inbound {
  if (maxBytes === undefined || !inbound.hasBody) return inbound;
  if (inbound.whole !== undefined) {
    if (inbound.whole.byteLength > maxBytes) throw tooLarge(maxBytes);
    return inbound;
  }
  return limitBody(inbound, maxBytes, () => {
    if (inbound.responded) inbound.breakOff();
    else refuse(inbound, tooLarge(maxBytes), logger);
  });
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}

function notAnswered(app: string, error: unknown): ComponentError {
  const what = isRefused(error) ? "does not listen on its port" : "broke the call off before it answered";
  return appUnavailable(app, `app "${app}" ${what}`);
}

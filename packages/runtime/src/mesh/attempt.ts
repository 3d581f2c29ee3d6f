import type { Outcome } from "../policy/conditions.js";
import { drawFault } from "../policy/sections/fault.js";
import { codeOf, outcomeOf, tellsAtItsEnd } from "./answer-outcome.js";
import type { ShownAttempt } from "./attempt-observer.js";
import type { Endpoint } from "./balancer.js";
import type { Body } from "./body.js";
import { expires, tooLong, withTimeout } from "./deadline.js";
import type { Engines } from "./engines.js";
import type { Inbound, OutboundRequest, Response, Send } from "./exchange.js";
import { faultSend } from "./fault-send.js";
import type { HeaderMap } from "./headers.js";
import type { OutgoingContext } from "./outgoing.js";
import type { PeerConnection } from "./peers.js";
import { type Attempt as Ending, relay } from "./relay.js";
import { sendHttp2 } from "./send-http2.js";

/** How long a stream that has begun keeps other calls from trying whether an app is well again, in ms. */
const trialMs = 1_000;

/** What one attempt takes. */
export interface AttemptOptions {
  readonly app: string;
  readonly inbound: Inbound;
  readonly request: OutboundRequest;
  readonly body: Body;
  readonly engines: Engines;
  readonly context: OutgoingContext;
  readonly endpoint: Endpoint;
  /** All instances, this one among them. */
  readonly endpoints: readonly Endpoint[];
  /** What the circuit breaker let it in with. */
  readonly era: number | undefined;
  /** 1 is the first. */
  readonly number: number;
  /** When the call must be over, by the clock. */
  readonly deadline: number;
  /** Whether another attempt follows an answer: then it is dropped. */
  declines(outcome: Outcome, response: Response): boolean;
  /** The answer that went back has ended, however. */
  over(): void;
}

/** One attempt: sends a call to one instance, and takes note of how that went. */
export class Attempt {
  readonly #options: AttemptOptions;
  /** How it ended, as soon as that is known. */
  outcome: Outcome | undefined;
  #isRecorded = false;
  #isAnswered = false;
  /** Whether the circuit breaker has been told. */
  #hasLeft = false;
  /** Why it ended before something was sent. */
  #stopReason: Error | undefined;
  #onStop: ((reason: Error) => void) | undefined;
  #onGone: (() => void) | undefined;
  #shown: ShownAttempt | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
  }

  /** Ends it because its time is over. */
  expire(reason: Error): void {
    this.outcome ??= { type: "timeout" };
    this.#stop(reason);
  }

  /** Ends it because its caller has left. */
  leave(): void {
    if (this.#onGone === undefined) this.#stop(new Error("the caller has left"));
    else this.#onGone();
  }

  #stop(reason: Error): void {
    this.#stopReason = reason;
    this.#onStop?.(reason);
  }

  /** Resolves once its answer goes back or is declined, or with why there is none. */
  async run(): Promise<Ending> {
    const { app, endpoint, engines, context, request } = this.#options;
    const perTry = request.method === "CONNECT" ? undefined : engines.timeout?.perTry;
    endpoint.inFlight++;
    engines.ejections.began(endpoint);
    const cancelTimer =
      perTry === undefined ? undefined : expires(context.clock, perTry, () => this.expire(tooLong(app, perTry)));
    try {
      const prepared = this.#prepare();
      const send = prepared instanceof Promise ? await prepared : prepared;
      const { attempt } = await this.#relay(send);
      if (attempt === "gone") this.#record(undefined);
      if (typeof attempt === "object") {
        this.outcome ??= { type: attempt.untouched ? "connect-failure" : "reset" };
        this.#record(this.outcome);
      }
      return attempt;
    } catch (error) {
      // Nothing was sent.
      endpoint.inFlight--;
      const isGone = this.#stopReason !== undefined && this.outcome === undefined;
      if (!isGone) this.outcome ??= { type: "connect-failure" };
      this.#record(this.outcome);
      return isGone ? "gone" : { error: error instanceof Error ? error : new Error(String(error)), untouched: true };
    } finally {
      cancelTimer?.();
    }
  }

  /** All that comes before something is sent: the fault that is injected, the connection. At once where there is one and no other. */
  #prepare(): Send | Promise<Send> {
    const { engines, context, inbound } = this.#options;
    const { fault } = engines;
    if (fault === undefined) return this.#connect();
    const { delayMs, abort } = drawFault(fault.value, context.random);
    if (abort !== undefined) engines.counts.fault("abort");
    const contentType = String(inbound.headers["content-type"] ?? "");
    const next = () => (abort === undefined ? this.#connect() : faultSend(abort, contentType, fault.policy));
    if (delayMs === 0) return next();
    engines.counts.fault("delay");
    const waiting = Promise.withResolvers<void>();
    const cancel = context.clock.after(delayMs, waiting.resolve);
    return this.#unlessStopped(waiting.promise).finally(cancel).then(next);
  }

  #connect(): Send | Promise<Send> {
    const { app, endpoint, context } = this.#options;
    const over = ({ session, lane }: PeerConnection): Send => {
      const bySession: Send = (request, answer) => sendHttp2(session, app, request, answer);
      return (request, answer) => lane.send(request, answer, bySession);
    };
    const session = context.peers.connection(app, endpoint.instance.address);
    return session instanceof Promise ? this.#unlessStopped(session).then(over) : over(session);
  }

  #unlessStopped<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#onStop = reject;
      if (this.#stopReason !== undefined) reject(this.#stopReason);
      promise.then(resolve, reject);
    });
  }

  #relay(send: Send): Promise<{ attempt: Ending }> {
    const { inbound, body } = this.#options;
    return relay(inbound, this.#toSend(), send, {
      body,
      accept: (response) => this.#accept(response),
      over: (how, trailers) => this.#over(how, trailers),
      onGone: (gone) => (this.#onGone = gone),
      stoppable: (stop) => (this.#onStop = stop),
    });
  }

  /** The request of this attempt: says how long it may take, and in whose name it is traced. */
  #toSend(): OutboundRequest {
    const { request, context, deadline, app, endpoint, number } = this.#options;
    const { observer, clock } = context;
    // Not `perTry`: that holds until the answer begins, and what is told here for all of it.
    const leftMs = deadline - clock.now();
    const isLimited = leftMs !== Number.POSITIVE_INFINITY && request.method !== "CONNECT";
    const headers = isLimited ? withTimeout(request.headers, leftMs) : request.headers;
    const { method, target } = request;
    const { address } = endpoint.instance;
    this.#shown = observer?.begin({ app, address, number, method, target, headers });
    const sent = this.#shown?.headers ?? headers;
    return sent === request.headers ? request : { ...request, headers: sent };
  }

  #accept(response: Response): boolean {
    const outcome = outcomeOf(response.status, response.headers);
    this.outcome = outcome;
    const isDeclined = this.#options.declines(outcome, response);
    this.#isAnswered = !isDeclined;
    if (isDeclined || !tellsAtItsEnd(response.headers)) this.#record(outcome);
    else this.#makeWay();
    return !isDeclined;
  }

  #over(how: "whole" | "broken" | "given-up", trailers: HeaderMap): void {
    const { endpoint, endpoints, engines } = this.#options;
    endpoint.inFlight--;
    if (this.#isAnswered) {
      const code = codeOf(trailers);
      if (how === "broken") this.outcome = { type: "reset" };
      else if (code !== undefined) this.outcome = { type: "answer", status: 200, code };
      // What looked well as it began.
      if (how === "broken" && this.#isRecorded) engines.ejections.record(endpoint, true, endpoints);
      this.#record(how === "given-up" ? undefined : this.outcome);
      this.#options.over();
    }
    this.#shown?.over(
      how === "given-up" && this.outcome?.type === "answer" && this.#isAnswered ? undefined : this.outcome,
    );
  }

  /** A stream tells at its end how it went, which may be hours away: if it tries for a half-open breaker, others may as well after a while. */
  #makeWay(): void {
    const { engines, context } = this.#options;
    if (engines.breaker?.state === "half-open") context.clock.after(trialMs, () => this.#leaveBreaker(undefined));
  }

  #leaveBreaker(outcome: Outcome | undefined): void {
    const { era, engines } = this.#options;
    if (era === undefined || this.#hasLeft) return;
    this.#hasLeft = true;
    engines.breaker?.leave(era, outcome && engines.breaker.isFailure(outcome));
  }

  /** Takes note, once, of how it ended; undefined if that says nothing about the instance. */
  #record(outcome: Outcome | undefined): void {
    if (this.#isRecorded) return;
    this.#isRecorded = true;
    const { endpoint, endpoints, engines, context } = this.#options;
    const { ejections, counts } = engines;
    this.#leaveBreaker(outcome);
    if (outcome === undefined) {
      ejections.record(endpoint, undefined, endpoints);
      counts.attempt("canceled");
      return;
    }
    const isError = ejections.isError(outcome);
    ejections.record(endpoint, isError, endpoints);
    if (!isError) endpoint.answeredAt = context.clock.now();
    counts.attempt(outcome.type === "answer" ? (isError ? "error" : "ok") : outcome.type);
  }
}

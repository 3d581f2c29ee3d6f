import { ComponentError } from "@mecha/component";
import type { Outcome } from "../policy/conditions.js";
import type { Bulkhead } from "../policy/sections/bulkhead.js";
import { backoffMs, repeatable } from "../policy/sections/retry.js";
import { retryAfterMs } from "./answer-outcome.js";
import { Attempt } from "./attempt.js";
import type { Endpoint } from "./balancer.js";
import { type Body, replayable } from "./body.js";
import { choose } from "./choose.js";
import { expires, timeoutOf, tooLong } from "./deadline.js";
import type { Engines } from "./engines.js";
import type { Failure, Inbound, OutboundRequest } from "./exchange.js";
import type { HeaderMap } from "./headers.js";
import type { OutgoingContext } from "./outgoing.js";
import { appUnavailable } from "./refusal.js";

/** How long `retry-after` is waited for at the most, in ms. */
const longestRetryAfterMs = 10_000;

/** One call of the app to another, with all its attempts; docs/policies.md shows the order of things. */
export class OutgoingCall {
  readonly #app: string;
  readonly #inbound: Inbound;
  readonly #request: OutboundRequest;
  readonly #engines: Engines;
  readonly #context: OutgoingContext;
  readonly #body: Body;
  /** Whether the call may be sent again although an instance may have done it. */
  readonly #isRepeatable: boolean;
  /** Those that were tried since all were. */
  readonly #tried = new Set<Endpoint>();
  #endpoints: readonly Endpoint[] = [];
  #attempts = 0;
  /** When the latest of them began, by the clock. */
  #triedAt: number | undefined;
  /** Attempts that followed one which counts: not those that only passed an instance over. */
  #retries = 0;
  /** When it must be over, by the clock. */
  #deadline = Number.POSITIVE_INFINITY;
  #cancelDeadline = () => {};
  #expired: Error | undefined;
  #isGone = false;
  #isOver = false;
  #current: Attempt | undefined;
  /** Ends what is waited for between attempts. */
  #wake = () => {};

  constructor(app: string, inbound: Inbound, request: OutboundRequest, engines: Engines, context: OutgoingContext) {
    this.#app = app;
    this.#inbound = inbound;
    this.#request = request;
    this.#engines = engines;
    this.#context = context;
    this.#body = replayable(inbound, context.kept);
    const { method, headers } = request;
    const methods = engines.retry.methods ?? repeatable;
    this.#isRepeatable = methods.includes(method) || (headers["idempotency-key"] !== undefined && method !== "CONNECT");
  }

  /** Resolves when the answer has begun, or the caller has left; rejects with why there is none. */
  async run(): Promise<void> {
    const { counts, budget, bulkhead } = this.#engines;
    this.#inbound.onGone(() => {
      this.#isGone = true;
      this.#current?.leave();
      this.#wake();
    });
    // What need not wait does not.
    if (bulkhead !== undefined && !(await this.#enter(bulkhead))) return;
    counts.inFlight++;
    budget.called();
    this.#startDeadline();
    let isAnswered = false;
    try {
      isAnswered = await this.#tryAll();
    } finally {
      // An answer that has begun ends the call when it ends.
      if (!isAnswered) this.#over();
    }
  }

  /** False if the caller left meanwhile. */
  async #enter(bulkhead: Bulkhead): Promise<boolean> {
    const { counts, names } = this.#engines;
    const isIn = await bulkhead.enter((left) => (this.#wake = left));
    this.#wake = () => {};
    if (isIn && !this.#isGone) return true;
    if (isIn) bulkhead.leave();
    if (this.#isGone) return false;
    counts.refuse("bulkhead");
    const message = `too many calls to app "${this.#app}" are under way (bulkhead of policy "${names.bulkhead}")`;
    throw new ComponentError("RATE_LIMITED", message, { metadata: { app: this.#app }, retryAfterMs: 1_000 });
  }

  /** A deadline holds for everything from here on: what the policy says, or what is left of the caller's own. */
  #startDeadline(): void {
    if (this.#request.method === "CONNECT") return;
    const { clock } = this.#context;
    const asked = timeoutOf(this.#inbound.headers) ?? Number.POSITIVE_INFINITY;
    const totalMs = Math.min(this.#engines.timeout?.total ?? Number.POSITIVE_INFINITY, asked);
    if (totalMs === Number.POSITIVE_INFINITY) return;
    this.#deadline = clock.now() + totalMs;
    this.#cancelDeadline = expires(clock, totalMs, () => {
      this.#expired = tooLong(this.#app, totalMs);
      this.#current?.expire(this.#expired);
      this.#wake();
    });
  }

  /** Attempt by attempt, until one settles the call; true if its answer has begun. */
  async #tryAll(): Promise<boolean> {
    for (;;) {
      const found = this.#context.directory.find(this.#app);
      const { endpoints, weightless } = found instanceof Promise ? await found : found;
      if (this.#isGone) return false;
      if (this.#expired !== undefined) throw this.#expired;
      if (endpoints.length === 0) throw appUnavailable(this.#app, nobody(this.#app, weightless));
      this.#endpoints = endpoints;

      let waitMs: number | undefined;
      const attempt = this.#begin((outcome, response) => {
        waitMs = this.#waitAfter(outcome, response.untouched === true, response.headers);
        return waitMs !== undefined;
      });
      const ending = await attempt.run();
      this.#current = ending === "answered" ? attempt : undefined;
      if (ending === "answered") return true;
      if (ending === "gone" || this.#isGone) return false;
      if (typeof ending === "object") {
        const { error } = ending;
        this.#context.logger.debug({ app: this.#app, error: error.message }, "an instance did not take a call");
        if (attempt.outcome !== undefined) waitMs = this.#waitAfter(attempt.outcome, ending.untouched);
        if (waitMs === undefined) throw this.#expired ?? this.#gaveUp(ending);
      }
      if (waitMs !== undefined && waitMs > 0) await this.#wait(waitMs);
    }
  }

  /** The next attempt, past the circuit breaker and at the instance that is chosen for it. */
  #begin(declines: ConstructorParameters<typeof Attempt>[0]["declines"]): Attempt {
    const era = this.#enterBreaker();
    let endpoint: Endpoint;
    try {
      endpoint = this.#choose();
    } catch (error) {
      if (era !== undefined) this.#engines.breaker?.leave(era, undefined);
      throw error;
    }
    this.#tried.add(endpoint);
    this.#triedAt = this.#context.clock.now();
    if (this.#attempts++ > 0) this.#engines.counts.retries++;
    const attempt = new Attempt({
      app: this.#app,
      inbound: this.#inbound,
      request: this.#request,
      body: this.#body,
      engines: this.#engines,
      context: this.#context,
      endpoint,
      endpoints: this.#endpoints,
      era,
      number: this.#attempts,
      deadline: this.#deadline,
      declines,
      over: () => this.#over(),
    });
    this.#current = attempt;
    return attempt;
  }

  #enterBreaker(): number | undefined {
    const { breaker, counts, names } = this.#engines;
    if (breaker === undefined) return undefined;
    const era = breaker.enter();
    if (era !== undefined) return era;
    counts.refuse("circuit-breaker");
    const message = `app "${this.#app}" failed too often of late: the circuit breaker of policy "${names.breaker}" is open`;
    const metadata = { app: this.#app };
    throw new ComponentError("APP_UNAVAILABLE", message, { metadata, retryAfterMs: breaker.waitMs });
  }

  #choose(): Endpoint {
    const { peers, random } = this.#context;
    const choice = {
      app: this.#app,
      engines: this.#engines,
      headers: this.#inbound.headers,
      tried: this.#tried,
      retriedSince: this.#triedAt,
      isAvoided: ({ instance }: Endpoint) => peers.isAvoided(this.#app, instance.address),
      random,
    };
    const chosen = choose(this.#endpoints, choice);
    if (chosen !== undefined) return chosen;
    // All were tried: another round.
    this.#tried.clear();
    const again = choose(this.#endpoints, choice);
    if (again === undefined) throw new Error("there is nobody to choose, although nobody was tried");
    return again;
  }

  /**
   * Whether another attempt follows one that ended so, and after how many ms; undefined if none does. An instance that did nothing is passed
   * over, whatever the call. Everything else is a retry: it takes a policy that wants it, a call that can bear it, and the budget.
   */
  #waitAfter(outcome: Outcome, untouched: boolean, headers?: HeaderMap): number | undefined {
    if (this.#isGone || this.#expired !== undefined || !this.#body.whole) return undefined;
    const isAnother = this.#endpoints.some((endpoint) => !this.#tried.has(endpoint));
    if (untouched && isAnother) return 0;
    const { retry, retryOn, budget } = this.#engines;
    if (this.#retries + 1 >= retry.maxAttempts || !retryOn(outcome) || !(untouched || this.#isRepeatable)) {
      return undefined;
    }
    const { clock, random } = this.#context;
    const backoff = backoffMs(retry, this.#retries + 1, random);
    // It speaks of the instance that said it.
    const asked = isAnother || headers === undefined ? 0 : (retryAfterMs(headers, clock.now()) ?? 0);
    if (asked > longestRetryAfterMs) return undefined;
    const waitMs = Math.max(backoff, asked);
    if (clock.now() + waitMs >= this.#deadline || !budget.take()) return undefined;
    this.#retries++;
    return waitMs;
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#context.clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = () => {};
  }

  #gaveUp({ error, untouched }: Failure): Error {
    if (error instanceof ComponentError) return error;
    const count = this.#endpoints.length;
    const where = `none of the ${count} instance${count === 1 ? "" : "s"} of app "${this.#app}" took the call`;
    const whether = untouched ? "" : "; it may have reached the app";
    return appUnavailable(this.#app, `${where}${whether}: ${error.message}`);
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelDeadline();
    this.#body.release();
    this.#engines.counts.inFlight--;
    this.#engines.bulkhead?.leave();
  }
}

function nobody(app: string, weightless: number): string {
  return weightless === 0
    ? `app "${app}" has no instance now: it is down, or just starting`
    : `all ${weightless} instances of app "${app}" have weight 0, so none takes calls`;
}

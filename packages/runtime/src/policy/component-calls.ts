import { Code, ConnectError } from "@connectrpc/connect";
import { type Blocks, type Clock, ComponentError, type PubSub, reasons } from "@mecha/component";
import type { BlockName } from "../blocks/registry.js";
import { formatDuration } from "../config/duration.js";
import { codeName, codeOf } from "../telemetry/errors.js";
import { meets, type Outcome } from "./conditions.js";
import type { TargetCounts } from "./counts.js";
import { Kept } from "./kept.js";
import type { Applied, Effective, Policies } from "./policies.js";
import type { RateLimiters } from "./rate-limiters.js";
import { Bulkhead } from "./sections/bulkhead.js";
import { CircuitBreaker } from "./sections/circuit-breaker.js";
import { drawFault } from "./sections/fault.js";
import { backoffMs, RetryBudget } from "./sections/retry.js";
import type { SectionValue } from "./sections.js";
import { leftOf, startWait, type Wait } from "./wait.js";

/** What a call to a block of a component has, whichever it is. */
type Call = Readonly<Record<string, unknown>> & { readonly signal?: AbortSignal };
type Method = (call: Call) => unknown;

/** How a call may be made twice: reads always, writes by their request id, events where the component tells doubles. */
type Repeatable = (call: Call, block: unknown) => boolean;

const always: Repeatable = () => true;
const never: Repeatable = () => false;

/** The calls that policies are for. Streams, and what delivery does, take as long as they take. */
const guarded: { readonly [Block in BlockName]?: Readonly<Record<string, Repeatable>> } = {
  state: { get: always, getMany: always, list: always, write: ({ requestId }) => requestId !== undefined },
  pubsub: { publish: (_call, block) => (block as PubSub).features.includes("DEDUP"), listDeadLetters: always },
  binding: { invoke: never },
};

/** Makes the calls of components as their policies say. */
export interface ComponentCalls {
  /** `serve` of a component, under its policies; `serve` itself where there are none. */
  guard<Name extends BlockName>(
    component: string,
    block: Name,
    serve: NonNullable<Blocks[Name]>,
  ): NonNullable<Blocks[Name]>;
  /** Calls back when what `guard` gives may have changed. */
  onChange(listener: () => void): void;
}

export interface ComponentCallsOptions {
  readonly policies: Policies;
  readonly limiters: RateLimiters;
  readonly clock: Clock;
  /** Numbers from 0 to 1, without 1. Default: `Math.random`. */
  readonly random?: () => number;
}

/** How long a write that was told to end may take to say whether it was done, in ms. */
const settleMs = 1_000;

/** What carries out the policies of one component. */
interface Engines {
  readonly component: string;
  readonly effective: Effective;
  readonly counts: TargetCounts;
  readonly bulkhead: Bulkhead | undefined;
  readonly breaker: CircuitBreaker | undefined;
  readonly retryOn: ((outcome: Outcome) => boolean) | undefined;
  readonly budget: RetryBudget | undefined;
}

export function createComponentCalls({
  policies,
  limiters,
  clock,
  random = Math.random,
}: ComponentCallsOptions): ComponentCalls {
  const of = (component: string) => policies.counts.of(`component/${component}`);
  const bulkheads = new Kept((value: SectionValue<"bulkhead">) => new Bulkhead(value, clock));
  const breakers = new Kept((value: SectionValue<"circuitBreaker">, component, policy) => {
    const breaker = new CircuitBreaker(value, clock);
    of(component).breakers.set(policy, breaker);
    return breaker;
  });
  const budgets = new Kept((value: SectionValue<"retry">) => new RetryBudget(value, clock));

  const enginesFor = (component: string, effective: Effective): Engines => ({
    component,
    effective,
    counts: of(component),
    bulkhead: bulkheads.of(effective.bulkhead, component),
    breaker: breakers.of(effective.circuitBreaker, component),
    retryOn: effective.retry && meets(effective.retry.value.on),
    budget: budgets.of(effective.retry, component),
  });

  /** One call, with all its attempts. */
  const make = async (engines: Engines, method: Method, call: Call, isRepeatable: boolean): Promise<unknown> => {
    const { component, effective, bulkhead, counts, budget, retryOn } = engines;
    if (effective.rateLimit !== undefined) await limitRate(engines, effective.rateLimit);
    if (bulkhead !== undefined && !(await enter(bulkhead, call))) {
      call.signal?.throwIfAborted();
      counts.refuse("bulkhead");
      const message = `too many calls to component "${component}" are under way (bulkhead of policy "${effective.bulkhead?.policy}")`;
      throw new ComponentError("RATE_LIMITED", message, { metadata: { component }, retryAfterMs: 1_000 });
    }
    counts.inFlight++;
    budget?.called();
    const { total = Number.POSITIVE_INFINITY } = effective.timeout?.value ?? {};
    const deadline = startWait(total, clock.now());
    try {
      for (let attempt = 1; ; attempt++) {
        // What was waited for, its turn or the time before another attempt, is for nobody where the caller has left.
        call.signal?.throwIfAborted();
        if (attempt > 1) counts.retries++;
        const ending = await tryOnce(engines, method, call, deadline, isRepeatable);
        if ("answer" in ending) return ending.answer;
        const { retry } = effective;
        const mayRepeat = isRepeatable || ending.isUntouched;
        const wanted =
          retry !== undefined && attempt < retry.value.maxAttempts && ending.outcomes.some((each) => retryOn?.(each));
        if (!wanted || !mayRepeat || call.signal?.aborted) throw ending.error;
        const waitMs = backoffMs(retry.value, attempt, random);
        if (leftOf(deadline, clock.now()) <= waitMs || budget?.take() !== true) throw ending.error;
        await new Promise<void>((resolve) => clock.after(waitMs, resolve));
      }
    } finally {
      counts.inFlight--;
      bulkhead?.leave();
    }
  };

  /** Whether there is room for a call, now or in its turn; there is none for one whose caller leaves meanwhile. */
  const enter = async (bulkhead: Bulkhead, { signal }: Call): Promise<boolean> => {
    signal?.throwIfAborted();
    let forget = () => {};
    const isIn = await bulkhead.enter((gone) => {
      signal?.addEventListener("abort", gone, { once: true });
      forget = () => signal?.removeEventListener("abort", gone);
    });
    forget();
    return isIn;
  };

  const limitRate = async ({ component, counts }: Engines, section: Applied<SectionValue<"rateLimit">>) => {
    const waitMs = await limiters.of(section, `component ${component}`).take();
    if (waitMs === 0) return;
    counts.refuse("rate-limit");
    const message = `component "${component}" takes no more calls just now (rate limit of policy "${section.policy}")`;
    throw new ComponentError("RATE_LIMITED", message, { metadata: { component }, retryAfterMs: waitMs });
  };

  type Ending =
    | { readonly answer: unknown }
    | {
        readonly error: unknown;
        /** Each way to say how it ended. */
        readonly outcomes: readonly Outcome[];
        readonly isUntouched: boolean;
      };

  const tryOnce = async (
    engines: Engines,
    method: Method,
    call: Call,
    deadline: Wait,
    isRead: boolean,
  ): Promise<Ending> => {
    const { component, breaker, counts, effective } = engines;
    const era = breaker?.enter();
    if (breaker !== undefined && era === undefined) {
      counts.refuse("circuit-breaker");
      const message = `component "${component}" failed too often of late: the circuit breaker of policy "${effective.circuitBreaker?.policy}" is open`;
      throw new ComponentError("COMPONENT_UNAVAILABLE", message, {
        metadata: { component },
        retryAfterMs: breaker.waitMs,
      });
    }
    const settle = (failed: boolean | undefined, outcome: string) => {
      if (era !== undefined) breaker?.leave(era, failed);
      counts.attempt(outcome);
    };
    try {
      const answer = await limitTime(engines, method, call, deadline, isRead);
      settle(false, "ok");
      return { answer };
    } catch (error) {
      if (call.signal?.aborted === true) {
        settle(undefined, "canceled");
        throw error;
      }
      const outcomes = outcomesOf(error);
      const [{ type }] = outcomes;
      settle(
        outcomes.some((outcome) => breaker?.isFailure(outcome)),
        type === "answer" ? "error" : type,
      );
      return { error, outcomes, isUntouched: type === "connect-failure" };
    }
  };

  /** An attempt, with its fault, that ends when its time is over. */
  const limitTime = (
    engines: Engines,
    method: Method,
    call: Call,
    deadline: Wait,
    isRead: boolean,
  ): Promise<unknown> => {
    const { component, effective } = engines;
    const { perTry = Number.POSITIVE_INFINITY } = effective.timeout?.value ?? {};
    const leftMs = Math.min(leftOf(deadline, clock.now()), perTry);
    if (leftMs === Number.POSITIVE_INFINITY) return withFault(engines, method, call);
    return new Promise((resolve, reject) => {
      const controller = new AbortController();
      const signal = call.signal === undefined ? controller.signal : AbortSignal.any([call.signal, controller.signal]);
      const timeout = late("DEADLINE_EXCEEDED", component, leftMs);
      let cancel = clock.after(leftMs, () => {
        controller.abort(timeout);
        if (isRead) return reject(timeout);
        // Nobody knows whether it was done: the component may.
        cancel = clock.after(settleMs, () => reject(late("OUTCOME_UNKNOWN", component, leftMs)));
      });
      withFault(engines, method, { ...call, signal })
        .finally(() => cancel())
        .then(resolve, reject);
    });
  };

  const withFault = async ({ counts, effective, component }: Engines, method: Method, call: Call): Promise<unknown> => {
    const { fault } = effective;
    if (fault === undefined) return method(call);
    const { delayMs, abort } = drawFault(fault.value, random);
    if (delayMs > 0) {
      counts.fault("delay");
      await new Promise<void>((resolve) => clock.after(delayMs, resolve));
      call.signal?.throwIfAborted();
    }
    if (abort?.code === undefined) return method(call);
    counts.fault("abort");
    throw faultOf(abort.code, component, fault.policy);
  };

  return {
    guard(component, block, serve) {
      const methods = guarded[block];
      const effective = methods && policies.forComponent(component);
      if (methods === undefined || effective === undefined) return serve;
      const engines = enginesFor(component, effective);
      return new Proxy(serve, {
        get(target, property) {
          // The target as `this`: its private fields are not the proxy's.
          const value: unknown = Reflect.get(target, property, target);
          const repeatable = typeof property === "string" ? methods[property] : undefined;
          if (typeof value !== "function" || repeatable === undefined) return value;
          const method: Method = (call) => Reflect.apply(value, target, [call]);
          return (call: Call) => make(engines, method, call, repeatable(call, target));
        },
      });
    },
    onChange: policies.onChange,
  };
}

/** What ended because its time was over. By identity: any ComponentError is an instance of every class of them. */
const timeouts = new WeakSet<object>();

function late(reason: "DEADLINE_EXCEEDED" | "OUTCOME_UNKNOWN", component: string, ms: number): ComponentError {
  const whether = reason === "OUTCOME_UNKNOWN" ? "; it may have been done" : "";
  const message = `component "${component}" did not answer within ${formatDuration(Math.ceil(ms))}${whether}`;
  const error = new ComponentError(reason, message, { metadata: { component } });
  timeouts.add(error);
  return error;
}

function outcomesOf(error: unknown): [Outcome, ...Outcome[]] {
  const code =
    error instanceof ComponentError
      ? reasons[error.reason]
      : error instanceof ConnectError
        ? codeName(error.code)
        : "internal";
  const answer: Outcome = { type: "answer", status: 0, code };
  if (error instanceof Error && timeouts.has(error)) return [{ type: "timeout" }, answer];
  if (!(error instanceof ComponentError)) return [answer];
  if (code === "unavailable") return [{ type: "connect-failure" }, answer];
  return error.reason === "OUTCOME_UNKNOWN" ? [{ type: "reset" }, answer] : [answer];
}

/** What a component with the fault would throw. */
function faultOf(code: string, component: string, policy: string): Error {
  const message = `a fault that policy "${policy}" injects into component "${component}"`;
  if (code === "unavailable") return new ComponentError("COMPONENT_UNAVAILABLE", message, { metadata: { component } });
  return new ConnectError(message, codeOf(code) ?? Code.Unknown);
}

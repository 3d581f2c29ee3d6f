import { ComponentError } from "@mecha/component";
import type { App, ServiceContext } from "../config/kind.js";
import { backoffMs } from "../delivery/policy.js";
import { type DeliveryCounts, newCounts } from "./counts.js";
import { type Flow, startFlow } from "./flow.js";
import type { SubscriptionPlan } from "./plan.js";
import { createRouter, type Router } from "./router.js";
import { type OpenSource, sources } from "./sources.js";

/** How soon a source that could not be opened is tried again, in ms: doubling between these. */
const reopening = { minBackoffMs: 200, maxBackoffMs: 10_000 };

/** What a subscription does. */
export type SubscriptionState = "DELIVERING" | "WAITING_FOR_APP" | "WAITING_FOR_COMPONENT";

/** A running subscription: opens its source, and opens it again whenever its component was replaced or away. */
export class Subscription {
  readonly counts: DeliveryCounts = newCounts();
  lastError = "";
  readonly #stopping = new AbortController();
  readonly #expired = Promise.withResolvers<void>();
  #done: Promise<void> | undefined;
  #flow: Flow | undefined;
  /** The component's name, once it was found. */
  component = "";

  constructor(
    readonly plan: SubscriptionPlan,
    readonly context: ServiceContext,
    readonly app: App,
  ) {}

  get state(): SubscriptionState {
    if (this.#flow === undefined) return "WAITING_FOR_COMPONENT";
    return this.app.health.healthy ? "DELIVERING" : "WAITING_FOR_APP";
  }

  /** Begins. Rejects, having begun nothing, with what trying again would not mend; a component that is away is tried again. */
  async start(): Promise<void> {
    const { logger } = this.context;
    const route = await createRouter(this.plan, (error) =>
      logger.debug({ subscription: this.plan.name, error: error.message }, "a rule failed on an event"),
    );
    const first = await this.#open().catch((error: unknown) => {
      if (!isPassing(error)) throw error;
      this.#tellAway(error);
      return undefined;
    });
    this.#done = this.#run(route, first);
  }

  /** Takes no more. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Waits for what the app has until `timedOut` settles, and hands the rest back. */
  async close(timedOut: Promise<unknown>): Promise<void> {
    this.stop();
    void timedOut.then(() => this.#expired.resolve());
    await this.#done;
  }

  async #run(route: Router, first: OpenSource | undefined): Promise<void> {
    let source = first;
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      try {
        source ??= await this.#open();
        failures = 0;
      } catch (error) {
        failures += 1;
        this.#tellAway(error);
        await this.#pause(backoffMs(reopening, failures));
        continue;
      }
      await this.#deliver(route, source);
      source = undefined;
    }
    // Opened, and stopped before anything was taken.
    await source?.items.close();
  }

  async #open(): Promise<OpenSource> {
    const { plan } = this;
    const source = await sources[plan.source.type].open(plan.source, this.context);
    this.component = source.live.plan.name;
    this.lastError = "";
    return source;
  }

  /** Delivers until the component is replaced, or the subscription stops. */
  async #deliver(route: Router, source: OpenSource): Promise<void> {
    const { plan, app, context, counts } = this;
    const { live } = source;
    const leave = live.enter();
    const onFailure = (error: string) => {
      this.lastError = error;
    };
    const flow = startFlow({ plan, source, route, app, context, counts, onFailure });
    this.#flow = flow;
    try {
      await aborted(AbortSignal.any([live.retired, this.#stopping.signal]));
      flow.stop();
      await Promise.race([flow.idle, aborted(live.expired), this.#expired.promise]);
    } finally {
      this.#flow = undefined;
      await flow.close();
      leave();
    }
  }

  #tellAway(error: unknown): void {
    this.lastError = error instanceof Error ? error.message : String(error);
    const fields = { subscription: this.plan.name, err: error };
    this.context.logger.warn(fields, `subscription "${this.plan.name}" cannot begin now; trying again`);
  }

  #pause(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.context.clock.after(delayMs, resolve);
    this.#stopping.signal.addEventListener("abort", () => resolve(), { once: true });
    return promise.finally(cancel);
  }
}

/** Whether waiting may mend it. */
function isPassing(error: unknown): boolean {
  return (
    !(error instanceof ComponentError) || error.reason.startsWith("COMPONENT_") || error.reason === "OUTCOME_UNKNOWN"
  );
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

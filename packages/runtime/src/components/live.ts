import type { Component } from "@mecha/component";
import { ComponentError } from "@mecha/component";
import type { ComponentPlan } from "../config/component-plan.js";

/** How a component is, as far as the runtime knows. */
export type HealthState = { readonly healthy: true } | { readonly healthy: false; readonly lastError: string };

/**
 * One running component behind a counted handle: replacing it waits for its calls. A call that its component answers at once is over
 * before anything else can happen, so only promises are counted.
 */
export class LiveComponent {
  health: HealthState = { healthy: true };
  #calls = 0;
  #idle: (() => void) | undefined;
  readonly #retirement = new AbortController();
  readonly #expiry = new AbortController();

  constructor(
    /** What it runs on; changes that restart nothing replace it. */
    public plan: ComponentPlan,
    /** The configuration as parsed, to tell whether a new one differs. */
    readonly config: unknown,
    readonly component: Component,
  ) {}

  /** Aborts, with the error for the caller, when streams over this component must end. */
  get retired(): AbortSignal {
    return this.#retirement.signal;
  }

  /** Aborts when the component closes, whoever still uses it. */
  get expired(): AbortSignal {
    return this.#expiry.signal;
  }

  /** Counts a call until it settles. */
  track<T>(call: Promise<T>): Promise<T> {
    this.enter();
    return call.finally(this.#leave);
  }

  /** Counts a call until the function that is returned is called, once. */
  enter(): () => void {
    this.#calls++;
    return this.#leave;
  }

  readonly #leave = (): void => {
    this.#calls--;
    if (this.#calls === 0) this.#idle?.();
  };

  /** Ends streams with `reason`, waits for calls until `timedOut` settles, then closes the component. */
  async retire(reason: string, timedOut: Promise<unknown>): Promise<void> {
    this.endStreams(reason);
    if (this.#calls > 0) {
      await Promise.race([new Promise<void>((resolve) => (this.#idle = resolve)), timedOut]);
    }
    this.#expiry.abort();
    await this.component.close();
  }

  /** Ends streams with COMPONENT_REPLACED; their callers open them again and go on. */
  endStreams(reason: string): void {
    if (this.retired.aborted) return;
    const component = this.plan.name;
    this.#retirement.abort(
      new ComponentError("COMPONENT_REPLACED", reason, { metadata: { component }, retryAfterMs: 100 }),
    );
  }
}

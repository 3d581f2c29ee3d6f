import type { StateStore } from "@mecha/component";
import { ComponentError } from "@mecha/component";
import { keyspace, set, textOf } from "./support.js";

/** What every call of the load has as its deadline, in ms. */
export const deadlineMs = 1_500;

/** Many callers that write and read without a pause, each a key of its own, with ever larger numbers. */
export class Load {
  /** How calls failed, and how often. */
  readonly failures = new Map<string, number>();
  /** What was never to happen. */
  readonly wrong: string[] = [];
  answered = 0;
  slowestMs = 0;
  readonly #store: StateStore;
  readonly #acknowledged: number[];
  /** What each caller wrote with an unknown outcome: a server that hung may do it whenever it goes on, even after later writes. */
  readonly #unknown: Set<number>[];
  readonly #workers: Promise<void>[];
  #stopped: boolean = false;

  constructor(store: StateStore, callers: number) {
    this.#store = store;
    this.#acknowledged = Array.from({ length: callers }, () => 0);
    this.#unknown = Array.from({ length: callers }, () => new Set());
    this.#workers = this.#acknowledged.map((_, caller) => this.#work(caller));
  }

  /** Ends the load, and looks whether everything that was acknowledged is there. */
  async end(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
    for (const [caller, acknowledged] of this.#acknowledged.entries()) {
      const found = Number(textOf(await this.#store.get({ keyspace, key: `load-${caller}` })) ?? 0);
      if (!this.#mayBeThere(caller, found))
        this.wrong.push(`caller ${caller}: ${acknowledged} was acknowledged, ${found} is there`);
    }
  }

  async #work(caller: number): Promise<void> {
    for (let number = 1; !this.#stopped; number++) {
      const key = `load-${caller}`;
      const outcome = await this.#call("write", async (signal) => {
        await set(this.#store, key, String(number), signal);
        this.#acknowledged[caller] = number;
      });
      if (outcome === "OUTCOME_UNKNOWN") this.#unknown[caller]?.add(number);
      await this.#call("read", async (signal) => {
        const found = Number(textOf(await this.#store.get({ keyspace, key, signal })) ?? 0);
        if (!this.#mayBeThere(caller, found)) {
          this.wrong.push(`caller ${caller} read ${found}, but ${this.#acknowledged[caller]} was acknowledged`);
        }
      });
    }
  }

  /** Whether a value is the last acknowledged one, or one whose write may have been done since. */
  #mayBeThere(caller: number, found: number): boolean {
    return found === this.#acknowledged[caller] || this.#unknown[caller]?.has(found) === true;
  }

  /** Resolves with why the call failed, if it did. */
  async #call(effect: "read" | "write", run: (signal: AbortSignal) => Promise<void>): Promise<string | undefined> {
    let reason: string | undefined;
    const started = performance.now();
    const signal = AbortSignal.timeout(deadlineMs);
    try {
      await run(signal);
      this.answered++;
    } catch (error) {
      reason = this.#judge(effect, error, signal);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - started);
    return reason;
  }

  #judge(effect: "read" | "write", error: unknown, signal: AbortSignal): string {
    const reason =
      error instanceof ComponentError ? error.reason : signal.aborted && error === signal.reason ? "deadline" : "other";
    this.failures.set(`${effect} ${reason}`, (this.failures.get(`${effect} ${reason}`) ?? 0) + 1);
    const isUnavailable = error instanceof ComponentError && reason === "COMPONENT_UNAVAILABLE";
    if (isUnavailable && (error.retryAfterMs ?? 0) <= 0)
      this.wrong.push("COMPONENT_UNAVAILABLE does not say when to retry");
    if (isUnavailable || reason === "deadline" || (effect === "write" && reason === "OUTCOME_UNKNOWN")) return reason;
    this.wrong.push(`a ${effect} failed with ${reason}: ${error}`);
    return reason;
  }
}

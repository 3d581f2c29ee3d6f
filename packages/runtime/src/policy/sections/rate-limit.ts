import { type Clock, z } from "@mecha/component";
import { defineSection } from "../section.js";

const unitsS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600 };

/** "100/s", to calls per second. */
const rate = z
  .string()
  .transform((text, context) => {
    const [, amount, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)\/(s|m|h)$/.exec(text) ?? [];
    const perSecond = Number(amount) / (unitsS[unit] ?? Number.NaN);
    if (perSecond > 0) return perSecond;
    const message = 'write how many calls in a second, minute or hour: "100/s", "30/m", "0.5/s"; more than 0';
    context.issues.push({ code: "custom", message, input: text });
    return z.NEVER;
  })
  .describe("How many calls there may be in a second, minute or hour: 100/s, 30/m, 1000/h.");

/** How often something may be called. */
export const rateLimit = defineSection({
  schema: z
    .strictObject({
      rate,
      burst: z
        .int()
        .min(1)
        .max(1_000_000)
        .optional()
        .describe("How many calls may come at once after a pause. Default: those of a second, one at least."),
      per: z
        .enum(["none", "caller"])
        .default("none")
        .describe("Whether all calls share the limit (none), or each app that calls has its own (caller)."),
      store: z
        .string()
        .min(1)
        .optional()
        .describe(
          "The state component that runtimes share the limit through: then it holds for all instances together. Default: each runtime has its own.",
        ),
    })
    .describe(
      "A token bucket; a call that finds none is refused with 429 or RESOURCE_EXHAUSTED, and `retry-after`. For apps it is kept by the runtime of the app that is called. Default: no limit.",
    ),
  targets: ["app", "component"],
  by: "callee",
  check({ per }, { target, add }) {
    if (per === "caller" && target.type === "component") {
      add('"per: caller" is for apps: a runtime calls its components for its own app alone', "per");
    }
  },
  relate({ store }, { target, components, add }) {
    if (store === undefined) return;
    const stores = components.filter(({ blocks }) => blocks.includes("state")).map(({ name }) => name);
    if (!stores.includes(store)) {
      const there = stores.length === 0 ? "no component serves state" : `state is served by ${stores.join(", ")}`;
      add(`there is no state component "${store}"; ${there}`, "store");
    }
    if (target.type === "component" && (target.name === store || target.name === "*")) {
      add(`the limit of component "${store}" cannot be kept in itself: name another "store", or none`, "store");
    }
  },
});

type RateLimitValue = z.output<typeof rateLimit.schema>;

/** How many calls there may be at once. */
export function burstOf({ rate, burst }: Pick<RateLimitValue, "rate" | "burst">): number {
  return burst ?? Math.max(1, Math.floor(rate));
}

/** A token bucket: fills at the rate, holds the burst, and each call takes one. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #filledAt: number;

  constructor(value: Pick<RateLimitValue, "rate" | "burst">, clock: Clock) {
    this.#perSecond = value.rate;
    this.#burst = burstOf(value);
    this.#clock = clock;
    this.#tokens = this.#burst;
    this.#filledAt = clock.now();
  }

  /** Takes a token: 0, or in how many ms there will be one. */
  take(): number {
    const now = this.#clock.now();
    // A clock that was set back fills nothing.
    const filled = (Math.max(0, now - this.#filledAt) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + filled);
    this.#filledAt = now;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return 0;
    }
    return Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1000);
  }
}

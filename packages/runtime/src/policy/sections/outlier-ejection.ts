import { type Clock, z } from "@mecha/component";
import { duration } from "../../config/duration.js";
import type { Endpoint } from "../../mesh/balancer.js";
import { conditions, failures, meets, type Outcome } from "../conditions.js";
import { defineSection } from "../section.js";
import { leftOf, noWait, startWait, type Wait } from "../wait.js";

/** When an instance that fails gets no calls for a while. */
export const outlierEjection = defineSection({
  schema: z
    .strictObject({
      consecutiveErrors: z
        .int()
        .min(0)
        .max(1_000)
        .default(5)
        .describe(
          "How many errors in a row eject an instance; 0: none ever is. One that came back goes after its first.",
        ),
      ejectFor: duration(
        "How long it is left out the first time; each further time it is as much longer. Default: 10s.",
        [10, 3_600_000],
      ).default(10_000),
      maxEjectFor: duration("How long it is left out at the most. Default: 5m.", [10, 24 * 3_600_000]).default(300_000),
      maxEjectedPercent: z
        .number()
        .min(0)
        .max(100)
        .default(80)
        .describe("How many of the app's instances may be left out at a time, in percent, rounded down."),
      on: conditions("What is an error.").default([...failures]),
    })
    .describe(
      "Leaves an instance that fails alone for a while; then one call at a time tries it until one went well. Default: as written with no field given.",
    ),
  targets: ["app"],
  by: "caller",
  byDefault: {},
  check({ ejectFor, maxEjectFor }, { add }) {
    if (maxEjectFor < ejectFor) add('"maxEjectFor" is less than "ejectFor"', "maxEjectFor");
  },
});

/** How long a call that tries an instance, and has not ended, holds up the next one, in ms: it may be a stream that lasts. */
const trialMs = 10_000;

type OutlierEjectionValue = z.output<typeof outlierEjection.schema>;

interface Record {
  errorsInARow: number;
  /** How often it was left out, less what it made good since. */
  times: number;
  /** The last time that it was left out. */
  out: Wait;
  /** Whether a call went well since it was last left out. */
  proven: boolean;
  /** The call that tries it, until it is known how that went. */
  trial: Wait;
}

/** Which instances of one app are left alone. */
export class Ejections {
  readonly isError: (outcome: Outcome) => boolean;
  readonly #value: OutlierEjectionValue;
  readonly #clock: Clock;
  readonly #onEject: () => void;
  readonly #records = new WeakMap<Endpoint, Record>();
  /** Those that were left out and have not proven themselves since: as a rule none, and then nothing is looked up. */
  readonly #suspects = new Set<Endpoint>();

  constructor(value: OutlierEjectionValue, clock: Clock, onEject: () => void = () => {}) {
    this.#value = value;
    this.#clock = clock;
    this.#onEject = onEject;
    this.isError = meets(value.on);
  }

  /** Whether an instance may be called now: one that comes back gets one call at a time, until one went well. */
  mayCall(endpoint: Endpoint): boolean {
    if (!this.#suspects.has(endpoint)) return true;
    const record = this.#records.get(endpoint);
    return record === undefined || (!this.#isOut(record) && leftOf(record.trial, this.#clock.now()) === 0);
  }

  /** An attempt begins; `record` is to be called when it is known how it went. */
  began(endpoint: Endpoint): void {
    if (!this.#suspects.has(endpoint)) return;
    const record = this.#records.get(endpoint);
    // Of those that go to it for want of another none puts the end of the trial off.
    if (record !== undefined && this.mayCall(endpoint)) record.trial = startWait(trialMs, this.#clock.now());
  }

  /** Whether nothing went well with an instance since its last error. */
  isInDoubt(endpoint: Endpoint): boolean {
    return this.#suspects.has(endpoint) || (this.#records.get(endpoint)?.errorsInARow ?? 0) > 0;
  }

  /** How many are left out now. */
  get out(): number {
    return this.#countOut([...this.#suspects]);
  }

  #countOut(endpoints: readonly Endpoint[]): number {
    return endpoints.filter((endpoint) => {
      const record = this.#records.get(endpoint);
      return record !== undefined && this.#isOut(record);
    }).length;
  }

  #isOut({ out }: Record): boolean {
    return leftOf(out, this.#clock.now()) > 0;
  }

  /**
   * Takes note of how an attempt ended.
   *
   * @param failed undefined if it says nothing about the instance: its caller went away
   * @param all the instances that there are
   */
  record(endpoint: Endpoint, failed: boolean | undefined, all: readonly Endpoint[]): void {
    const record = this.#records.get(endpoint);
    if (record !== undefined) record.trial = noWait;
    if (failed === undefined) return;
    if (!failed) {
      if (record === undefined || this.#isOut(record)) return;
      record.errorsInARow = 0;
      record.proven = true;
      this.#suspects.delete(endpoint);
      return;
    }
    if (this.#value.consecutiveErrors === 0) return;
    if (record === undefined) {
      const fresh = { errorsInARow: 1, times: 0, out: noWait, proven: true, trial: noWait };
      this.#records.set(endpoint, fresh);
      this.#judge(endpoint, fresh, all);
      return;
    }
    // Of calls that began before it was left out more is heard than is new.
    if (this.#isOut(record)) return;
    record.errorsInARow++;
    this.#judge(endpoint, record, all);
  }

  #judge(endpoint: Endpoint, record: Record, all: readonly Endpoint[]): void {
    const { consecutiveErrors, ejectFor, maxEjectFor, maxEjectedPercent } = this.#value;
    if (record.errorsInARow < (record.proven ? consecutiveErrors : 1)) return;
    if (this.#countOut(all) + 1 > Math.floor((all.length * maxEjectedPercent) / 100)) return;
    const now = this.#clock.now();
    // What it was good for since makes up for earlier times.
    const good = record.times === 0 ? 0 : Math.floor(Math.max(0, now - record.out.endTime) / ejectFor);
    record.times = Math.max(0, record.times - good) + 1;
    record.out = startWait(Math.min(maxEjectFor, ejectFor * record.times), now);
    record.errorsInARow = 0;
    record.proven = false;
    for (const suspect of this.#suspects) if (!all.includes(suspect)) this.#suspects.delete(suspect);
    this.#suspects.add(endpoint);
    this.#onEject();
  }
}

import type { Awaitable } from "../state/interface.js";
import type { DiscoveryFeature } from "./features.js";

/** One runtime that stands for an app, as others find it. */
export interface Instance {
  /** Unique in its namespace; a runtime takes a new one with each start. 1 to 128 of `[A-Za-z0-9._:-]`. */
  readonly id: string;
  /** The app, a DNS label. */
  readonly app: string;
  /** Where its mesh port is: "10.0.0.5:3601", "[::1]:3601" or "host.example:3601". */
  readonly address: string;
  /** The app's version, for traffic that is split by it; empty if it has none. At most 128 characters, as the zone. */
  readonly version: string;
  /** The failure domain that it runs in; empty if it has none. */
  readonly zone: string;
  /** Its share of the traffic, beside the other instances' weights: 0 to 1000, and 100 where nobody says otherwise. 0 takes none. */
  readonly weight: number;
}

/** What a lookup takes. */
export interface AppCall {
  readonly namespace: string;
  /** A DNS label. */
  readonly app: string;
}

/** The lease of one instance. */
export interface LeaseCall extends AppCall {
  readonly id: string;
}

/**
 * Where the runtimes of apps are found. Failures are ComponentErrors; COMPONENT_UNAVAILABLE while what it asks is away.
 *
 * An app is known while it has an instance, and for a while after its last one has gone: so that callers can tell an app that is down from one
 * that does not exist.
 */
export interface Discovery {
  readonly features: readonly DiscoveryFeature[];

  /** Where an app is looked for, in words that a message can end with: `by the DNS name orders.svc.example`. Callers read it: no path, no secret. */
  describe(call: AppCall): string;

  /** The instances of an app that are there now, by id; undefined if there is no such app. */
  resolve(call: AppCall & { readonly signal: AbortSignal }): Awaitable<readonly Instance[] | undefined>;

  /**
   * What `resolve` gives, now and after each change, until `signal` aborts. Changes may coalesce; the last state always arrives: within 100 ms of a
   * change and within a second after a lease has ended, where the component's own source tells that soon (a DNS record has its TTL).
   */
  watch(call: AppCall & { readonly signal: AbortSignal }): AsyncIterable<readonly Instance[] | undefined>;

  /** With LIST: the known apps of a namespace, sorted. */
  list?(call: { readonly namespace: string; readonly signal: AbortSignal }): Awaitable<readonly string[]>;

  /** With REGISTER: the leases that put a runtime's own instance there. */
  readonly leases?: {
    /** Puts an instance there for `ttlMs`; one with the same id is replaced. */
    register(call: {
      readonly namespace: string;
      readonly instance: Instance;
      readonly ttlMs: number;
    }): Awaitable<void>;
    /** Prolongs a lease to `ttlMs` from now; false if it has ended, and must be registered anew. */
    renew(call: LeaseCall & { readonly ttlMs: number }): Awaitable<boolean>;
    /** Ends a lease at once; the app stays known for a while. */
    deregister(call: LeaseCall): Awaitable<void>;
  };
}

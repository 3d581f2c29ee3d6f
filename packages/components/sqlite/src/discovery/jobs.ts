import type { Instance, LeaseCall } from "@mecha/component";

/** What the discovery block asks of the writer. */
export interface DiscoveryJobs {
  /** Puts an instance there, and forgets what has been over for long. */
  "discovery.register": {
    body: { readonly namespace: string; readonly instance: Instance; readonly ttlMs: number };
    answer: null;
  };
  /** Prolongs a lease; whether it still was there. */
  "discovery.renew": { body: LeaseCall & { readonly ttlMs: number }; answer: boolean };
  /** Ends a lease now. */
  "discovery.deregister": { body: LeaseCall; answer: null };
}

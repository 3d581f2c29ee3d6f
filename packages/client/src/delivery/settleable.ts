import { type Duration, toMilliseconds } from "../duration.js";

/** A delivery's way back. Settle it once: `ack`, `retry` or `reject`. */
export interface Settleable {
  readonly deliveryId: string;
  /** Whether it was settled. */
  readonly settled: boolean;
  /** Done. False if it was too late: then the event may come again. */
  ack(): Promise<boolean>;
  /** Failed: deliver it again, after the backoff in effect or `after`, unless it is out of attempts. */
  retry(options?: { after?: Duration; error?: string }): Promise<boolean>;
  /** Can never succeed: give it up now. */
  reject(error?: string): Promise<boolean>;
  /** Gives it more time: `ackTimeout` from now, by default the one in effect. */
  extend(ackTimeout?: Duration): Promise<boolean>;
}

/** What an app says of a delivery other than that it is done. */
export type Refusal =
  | { readonly retryAfterMs: number | undefined; readonly error: string }
  | { readonly reject: string };

/** Who carries it to the runtime. */
interface Settler {
  ack(id: string): Promise<boolean>;
  refuse(id: string, refusal: Refusal): Promise<boolean>;
  extend(ids: string[], ackTimeoutMs?: number): Promise<boolean>;
}

export function createSettleable(deliveryId: string, settler: Settler): Settleable {
  let settled = false;
  return {
    deliveryId,
    get settled() {
      return settled;
    },
    ack() {
      settled = true;
      return settler.ack(deliveryId);
    },
    retry({ after, error = "" } = {}) {
      settled = true;
      const retryAfterMs = after === undefined ? undefined : Math.ceil(toMilliseconds(after, "after"));
      return settler.refuse(deliveryId, { retryAfterMs, error: shorten(error) });
    },
    reject(error = "") {
      settled = true;
      return settler.refuse(deliveryId, { reject: shorten(error) });
    },
    extend: (ackTimeout) =>
      settler.extend([deliveryId], ackTimeout === undefined ? undefined : toMilliseconds(ackTimeout, "ackTimeout")),
  };
}

/** The longest error that the contract takes, in bytes. */
const maxErrorBytes = 1024;

/** Cuts a text to what the contract takes, at a character's border. */
export function shorten(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return bytes.length <= maxErrorBytes
    ? text
    : new TextDecoder().decode(bytes.subarray(0, maxErrorBytes - 3)).replace(/\uFFFD+$/, "");
}

import type { Clock } from "@mecha/component";
import { type Credentials, createListeners, type Identity, IdentityError, type IdentityLogger } from "../identity.js";
import { formatSpiffeId } from "../spiffe.js";
import type { AuthorityAddress } from "./address.js";
import { AuthorityError } from "./errors.js";
import { type Enrolled, type EnrolledStore, toCredentials } from "./store.js";

/** How often the time is looked at: a timer for half a day would sleep through the sleep of a laptop. */
const checkIntervalMs = 60_000;
/** For how long a renewal that failed waits: doubled each time, and half of it by chance, so that runtimes do not come back all at once. In ms. */
const minBackoffMs = 60_000;
const maxBackoffMs = 30 * 60_000;

/** What renewing needs. */
export interface RenewalOptions {
  readonly address: AuthorityAddress;
  readonly store: EnrolledStore;
  readonly clock: Clock;
  readonly logger: IdentityLogger;
  /** What a person is to do once the certificate is expired. */
  readonly remedy: string;
}

/** Renews what is there when half of its life is over, for as long as the identity is open. */
export function keepRenewed(first: Enrolled, { address, store, clock, logger, remedy }: RenewalOptions): Identity {
  const listeners = createListeners<Credentials>();
  const abort = new AbortController();
  let enrolled = first;
  let current = toCredentials(first);
  let nextTime = halfLifeOf(first);
  let failures = 0;
  let told: "expired" | "away" | "wrong" | undefined;
  let isBusy = false;
  let cancelTimer = () => {};

  const isExpired = () => clock.now() >= current.expireTime;
  const fields = () => ({ id: formatSpiffeId(current.id), expires: new Date(current.expireTime) });

  /** Once for each kind of trouble: an authority that is away for a night is one line. */
  const complain = (error: unknown) => {
    const isAway = error instanceof AuthorityError && error.kind !== "refused";
    const kind = isExpired() ? "expired" : isAway ? "away" : "wrong";
    if (kind === told) return;
    told = kind;
    if (kind === "expired") {
      logger.error(fields(), `this runtime's certificate is expired, and others refuse it: ${remedy}`);
      return;
    }
    const why = error instanceof IdentityError ? error.message : `an internal error (${String(error)})`;
    const message = `cannot renew this runtime's certificate: ${why}; will try again`;
    if (isAway) logger.warn(fields(), message);
    else logger.error(fields(), message);
  };

  const adopt = (renewed: Enrolled) => {
    enrolled = renewed;
    current = toCredentials(renewed);
    nextTime = halfLifeOf(renewed);
    failures = 0;
    told = undefined;
    saveOrComplain(store, renewed, logger);
    logger.info(fields(), "renewed this runtime's certificate");
    listeners.tell(current);
  };

  const renew = async () => {
    try {
      const client = await import("./client.js");
      const renewed = await client.renew(enrolled, { address, now: clock.now(), signal: abort.signal });
      if (!abort.signal.aborted) adopt(renewed);
    } catch (error) {
      if (abort.signal.aborted) return;
      const backoffMs = Math.min(maxBackoffMs, minBackoffMs * 2 ** failures);
      failures++;
      nextTime = clock.now() + backoffMs * (0.5 + Math.random() / 2);
      complain(error);
    }
  };

  const isDue = () => {
    const untilNext = nextTime - clock.now();
    // A clock that was set back may not put the next attempt off; one that was set forward, or a long sleep, is told of at once.
    const isLost = failures > 0 && untilNext > maxBackoffMs;
    return untilNext <= 0 || isLost || (isExpired() && told !== "expired");
  };
  const check = () => {
    cancelTimer = clock.after(checkIntervalMs, check);
    if (isBusy || !isDue()) return;
    isBusy = true;
    void renew().finally(() => {
      isBusy = false;
    });
  };
  check();
  return {
    get current() {
      return current;
    },
    onChange: listeners.onChange,
    close() {
      cancelTimer();
      abort.abort();
    },
  };
}

/** What cannot be stored is used all the same: it is valid, and cannot be had a second time. */
export function saveOrComplain(store: EnrolledStore, enrolled: Enrolled, logger: IdentityLogger): void {
  try {
    store.write(enrolled);
  } catch (err) {
    logger.error({ err }, "cannot store this runtime's certificate: it is in use, but a restart will need a token");
  }
}

function halfLifeOf({ certificates: [{ validFromDate, validToDate }] }: Enrolled): number {
  return (validFromDate.getTime() + validToDate.getTime()) / 2;
}

import { generateKeyPairSync } from "node:crypto";
import type { Clock } from "@mecha/component";
import { type Authority, openAuthority } from "./authority.js";
import { type Credentials, createListeners, type Identity, type IdentityLogger } from "./identity.js";
import { formatSpiffeId, type SpiffeId } from "./spiffe.js";

/** How long a certificate is good for. */
export const certificateLifetimeMs = 24 * 60 * 60 * 1000;
/** How often the time is looked at: a timer for half a day would sleep through the sleep of a laptop. */
const checkIntervalMs = 60_000;

/** Whether a certificate is to be renewed: half of its life is over, or it begins later, because the clock was set back. */
export const isRenewalDue = (issueTime: number, now: number): boolean =>
  now < issueTime || now >= issueTime + certificateLifetimeMs / 2;

/** Options of {@link createIssuedIdentity}. */
export interface IssuedIdentityOptions {
  readonly id: SpiffeId;
  /** The folder with the authority; it exists. */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly logger: IdentityLogger;
}

/** An identity by the development authority of the data directory. The runtime's own key is made anew with each certificate, and never on disk. */
export function createIssuedIdentity({ id, dataDir, clock, logger }: IssuedIdentityOptions): Identity {
  const open = () => openAuthority(dataDir, id.trustDomain, clock.now());
  const listeners = createListeners<Credentials>();
  let issueTime = clock.now();
  let current = issueCredentials(open(), id, issueTime);
  let cancelTimer = () => {};

  const check = () => {
    schedule();
    const now = clock.now();
    if (!isRenewalDue(issueTime, now)) return;
    try {
      current = issueCredentials(open(), id, now);
      issueTime = now;
    } catch (err) {
      // The old certificate is good for half of its life still.
      logger.error(
        { err, expires: new Date(current.expireTime) },
        "cannot renew this runtime's certificate; will try again",
      );
      return;
    }
    logger.info(
      { id: formatSpiffeId(id), expires: new Date(current.expireTime) },
      "renewed this runtime's certificate",
    );
    listeners.tell(current);
  };
  const schedule = () => {
    cancelTimer = clock.after(checkIntervalMs, check);
  };
  schedule();
  return {
    get current() {
      return current;
    },
    onChange: listeners.onChange,
    close: () => cancelTimer(),
  };
}

/** Makes a key and has it certified. */
export function issueCredentials(authority: Authority, id: SpiffeId, now: number): Credentials {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const expireTime = now + certificateLifetimeMs;
  const certificate = authority.issue({ id, publicKey, notBefore: now, notAfter: expireTime });
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const ca = authority.authorities.join("");
  return {
    id,
    expireTime,
    secrets: () => ({ key, cert: certificate.toString(), ca }),
  };
}

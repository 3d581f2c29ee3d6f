import type { Clock } from "@mecha/component";
import { fingerprintOf } from "../authority-id.js";
import { parseToken } from "../ca/token-text.js";
import { type Identity, IdentityError, type IdentityLogger } from "../identity.js";
import { formatSpiffeId, type SpiffeId } from "../spiffe.js";
import { type AuthorityAddress, parseAuthorityAddress } from "./address.js";
import { AuthorityError } from "./errors.js";
import { keepRenewed, saveOrComplain } from "./renewal.js";
import { type Enrolled, openStore } from "./store.js";

/** How long the first enrolment waits for an authority that cannot be reached, and for how long between two attempts, in ms. */
const patienceMs = 30_000;
const firstPauseMs = 500;

/** Options of {@link createEnrolledIdentity}. */
export interface EnrolledIdentityOptions {
  /** Where the authority listens: `host:port`; the port is 3602 where there is none. */
  readonly authority: string;
  /** A token of that authority for this app. Needed where `folder` has no certificate that is valid; not looked at, nor used up, where it has. */
  readonly token?: string | undefined;
  /** Who the runtime is. The trust domain is the authority's; where one is given it must be that. */
  readonly id: Pick<SpiffeId, "namespace" | "appId"> & { readonly trustDomain?: string | undefined };
  /** Where key and certificates last, so that a restart needs no token. Of this app alone; made with mode 0700. */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: IdentityLogger;
}

/**
 * An identity by an authority of several hosts (`mecha ca serve`): enrolled once with a token, and renewed when half of a certificate's life is
 * over, with a new key each time. While the authority is away the certificate stays in use until it expires.
 *
 * Rejects with an IdentityError that says what to do: no token where one is needed, a refused one, an authority that cannot be reached within
 * 30 s, a folder that is another app's.
 */
export async function createEnrolledIdentity(options: EnrolledIdentityOptions): Promise<Identity> {
  const { id, folder, clock, logger } = options;
  const address = parseAuthorityAddress(options.authority);
  const store = openStore(folder);
  const renewal = { address, store, clock, logger, remedy: askForToken(id) };
  const stored = findUsable(store.read(), options);
  if (stored !== undefined) return keepRenewed(stored, renewal);
  const enrolled = await enrollPatiently(options, address);
  saveOrComplain(store, enrolled, logger);
  const expires = enrolled.certificates[0].validToDate;
  logger.info({ id: formatSpiffeId(enrolled.id), authority: address.text, expires }, "enrolled this runtime");
  return keepRenewed(enrolled, renewal);
}

/** What to do where a certificate is missing. */
const askForToken = ({ namespace, appId }: EnrolledIdentityOptions["id"]) =>
  `get a new token with "mecha ca token --dir ca --app ${appId} --namespace ${namespace}" where the authority is, and start this runtime with it in MECHA_ENROLL_TOKEN`;

/** What is stored, if it can be used; undefined if a token is to be used instead. */
function findUsable(
  stored: Enrolled | undefined,
  { id, token, folder, clock, logger }: EnrolledIdentityOptions,
): Enrolled | undefined {
  const hasToken = token !== undefined && token.trim() !== "";
  if (stored === undefined) {
    if (hasToken) return undefined;
    throw new IdentityError(`this runtime has no certificate yet: ${askForToken(id)}`);
  }
  const isSame =
    stored.id.appId === id.appId &&
    stored.id.namespace === id.namespace &&
    stored.id.trustDomain === (id.trustDomain ?? stored.id.trustDomain);
  if (!isSame) {
    const wanted = formatSpiffeId({ ...id, trustDomain: id.trustDomain ?? stored.id.trustDomain });
    throw new IdentityError(
      `${folder} holds the certificate of ${formatSpiffeId(stored.id)}, and this runtime is ${wanted}: give it a folder of its own, or remove that one and ${askForToken(id)}`,
    );
  }
  const [leaf] = stored.certificates;
  if (clock.now() >= leaf.validToDate.getTime()) {
    // A token that was used for it is still in the environment, maybe; one that is new is why somebody restarted.
    if (hasToken && parseToken(token)?.id !== stored.tokenId) return undefined;
    throw new IdentityError(`the certificate in ${folder} expired on ${leaf.validTo}: ${askForToken(id)}`);
  }
  const parts = hasToken ? parseToken(token) : undefined;
  if (parts !== undefined && parts.id !== stored.tokenId) {
    if (!stored.authorities.some((authority) => fingerprintOf(authority) === parts.fingerprint)) {
      throw new IdentityError(
        `${folder} holds a certificate of another authority than the one that the token is of: remove that folder to enrol with the new authority, or start this runtime without the token`,
      );
    }
    logger.info({ token: parts.id }, "this runtime has a valid certificate: the token was not used");
  }
  return stored;
}

/** An authority that is started at the same moment is waited for; once the token is sent there is one answer. */
async function enrollPatiently(options: EnrolledIdentityOptions, address: AuthorityAddress): Promise<Enrolled> {
  const { id, token = "", clock, logger } = options;
  const { enroll } = await import("./client.js");
  const end = clock.now() + patienceMs;
  const { signal } = new AbortController();
  for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
    try {
      return await enroll(id, token.trim(), { address, now: clock.now(), signal });
    } catch (error) {
      const canWait = error instanceof AuthorityError && error.kind === "unreachable" && clock.now() + pauseMs < end;
      if (!canWait) throw error;
      if (pauseMs === firstPauseMs) logger.warn({ authority: address.text }, `${error.message}; will try again`);
      await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
    }
  }
}

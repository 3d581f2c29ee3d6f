import { randomUUID, type X509Certificate } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ConnectError,
  createContextKey,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { CertificateAuthorityService } from "@mecha/api/ca";
import type { Clock } from "@mecha/component";
import type { Authority } from "../authority.js";
import { type CertificateRequest, readCertificateRequest } from "../certificate-request.js";
import { IdentityError, type IdentityLogger } from "../identity.js";
import { certificateLifetimeMs } from "../issued.js";
import { formatSpiffeId, parseSpiffeId, type SpiffeId, uriOf } from "../spiffe.js";
import { createRefusal } from "./errors.js";
import type { Refusals } from "./refusals.js";
import { checkToken, claimToken } from "./tokens.js";

/** Who is at the other end of a connection. */
export interface Peer {
  readonly address: string | undefined;
  /** The client's certificate, if TLS has verified it. */
  readonly certificate: X509Certificate | undefined;
}

/** Where a call's {@link Peer} is found. */
export const peerKey = createContextKey<Peer>(
  { address: undefined, certificate: undefined },
  { description: "the peer" },
);

/** What the service needs. */
export interface ServiceContext {
  readonly folder: string;
  /** The authority as it is in the folder now. */
  authority(): Authority;
  readonly refusals: Refusals;
  readonly clock: Clock;
  readonly logger: IdentityLogger;
}

/** The authority's service. */
export function createService(context: ServiceContext): ServiceImpl<typeof CertificateAuthorityService> {
  const { folder, authority, refusals, clock, logger } = context;

  const certify = (id: SpiffeId, { publicKey }: CertificateRequest) => {
    const { authorities, issue } = authority();
    const now = clock.now();
    const expireTime = now + certificateLifetimeMs;
    const certificate = issue({ id, publicKey, notBefore: now, notAfter: expireTime });
    return {
      certificates: [toDer(certificate)],
      authorities: authorities.map(toDer),
      expireTime: timestampFromMs(expireTime),
    };
  };

  return {
    enroll({ token, certificateRequest }, call) {
      const { address } = peerOf(call);
      const waitMs = refusals.waitMs(address);
      if (waitMs > 0) {
        const message = `too many requests of this address were refused; try again in ${Math.ceil(waitMs / 1000)} s`;
        throw createRefusal("RATE_LIMITED", message, { retryAfterMs: waitMs });
      }
      try {
        const verdict = checkToken(folder, token, clock.now());
        if (verdict.state !== "open") throw refuseToken(verdict.state);
        const { namespace, appId } = verdict.info;
        const id = { trustDomain: authority().trustDomain, namespace, appId };
        const request = readRequest(certificateRequest, id, "this token");
        // From here on the token is spent, whatever happens to this process: nothing of the certificate exists yet.
        if (!claimToken(folder, verdict.info.id)) throw refuseToken("used");
        logger.info({ token: verdict.info.id, id: formatSpiffeId(id), address }, "a token was used up");
        const certified = certify(id, request);
        logger.info({ id: formatSpiffeId(id), address }, "enrolled a runtime");
        return certified;
      } catch (error) {
        if (error instanceof ConnectError) {
          refusals.count(address);
          logger.warn({ address }, `refused to enrol a runtime: ${error.rawMessage}`);
        }
        throw error;
      }
    },

    renew({ certificateRequest }, call) {
      const { address, certificate } = peerOf(call);
      const caller = identify(certificate, authority().trustDomain, clock.now());
      if ("refusal" in caller) {
        const message = `the certificate cannot be renewed: ${caller.refusal}; enrol with a new token`;
        throw createRefusal("BAD_CERTIFICATE", message);
      }
      const request = readRequest(certificateRequest, caller.id, "the caller's certificate");
      const certified = certify(caller.id, request);
      logger.info({ id: formatSpiffeId(caller.id), address }, "renewed a runtime's certificate");
      return certified;
    },

    getAuthorities: () => ({ authorities: authority().authorities.map(toDer) }),
  };
}

/** Whatever a handler throws by accident stays here; the caller gets an id, by which it is found in the log. */
export function hideInternalErrors(logger: IdentityLogger): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (err) {
      if (err instanceof ConnectError) throw err;
      const id = randomUUID();
      logger.error({ err, id }, `internal error ${id}`);
      throw createRefusal("INTERNAL", `internal error; the authority's log says more under id ${id}`, {
        metadata: { id },
      });
    }
  };
}

const peerOf = ({ values }: HandlerContext) => values.get(peerKey);
const toDer = ({ raw }: X509Certificate) => new Uint8Array(raw);

function refuseToken(state: "unknown" | "used" | "revoked" | "expired"): ConnectError {
  const what = {
    unknown: "the token is not known to this authority",
    used: "the token was used already",
    revoked: "the token was revoked",
    expired: "the token is expired",
  };
  return createRefusal("BAD_TOKEN", `${what[state]}: get a new one with "mecha ca token"`);
}

/** Reads a request, which may name no other id than the one that its sender has proved to have. */
function readRequest(der: Uint8Array, id: SpiffeId, proof: string): CertificateRequest {
  let request: CertificateRequest;
  try {
    request = readCertificateRequest(der);
  } catch (error) {
    throw error instanceof IdentityError ? createRefusal("BAD_REQUEST", error.message) : error;
  }
  const other = request.uris.find((uri) => uri !== formatSpiffeId(id));
  if (other === undefined) return request;
  // What stands in a request may be anything: what is no id is not repeated.
  const named = parseSpiffeId(other) === undefined ? "another id" : other;
  throw createRefusal("OUT_OF_SCOPE", `${proof} is for ${formatSpiffeId(id)}, and the request is for ${named}`);
}

/** Who a certificate is for that TLS has verified. The time is compared again: connections last, and so may the difference of two clocks. */
function identify(
  certificate: X509Certificate | undefined,
  trustDomain: string,
  now: number,
): { readonly id: SpiffeId } | { readonly refusal: string } {
  if (certificate === undefined) {
    return { refusal: "the caller presented none that is valid and of an authority that is trusted here" };
  }
  const id = certificate.ca ? undefined : parseSpiffeId(uriOf(certificate) ?? "");
  if (id === undefined) return { refusal: "it is not the certificate of an app" };
  if (id.trustDomain !== trustDomain) return { refusal: `it is of another trust domain than "${trustDomain}"` };
  if (now >= certificate.validToDate.getTime()) return { refusal: `it expired on ${certificate.validTo}` };
  return { id };
}

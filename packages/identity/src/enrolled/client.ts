import { generateKeyPairSync, type X509Certificate } from "node:crypto";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { CertificateAuthorityService } from "@mecha/api/ca";
import { ErrorInfoSchema } from "@mecha/api/rpc";
import { createTransport, type RpcTransport, type TransportOptions } from "@mecha/rpc";
import { authorityHostname, fingerprintOf } from "../authority-id.js";
import { parseToken } from "../ca/token-text.js";
import { createCertificateRequest } from "../certificate-request.js";
import { IdentityError, trustDomainOf } from "../identity.js";
import { formatSpiffeId, type SpiffeId } from "../spiffe.js";
import type { AuthorityAddress } from "./address.js";
import { type Answer, checkAnswer } from "./check.js";
import { AuthorityError } from "./errors.js";
import { findAuthority } from "./pin.js";
import { type Enrolled, toCredentials } from "./store.js";

const callTimeoutMs = 10_000;
const maxAnswerBytes = 64 * 1024;

/** What a call to the authority needs. */
export interface CallOptions {
  readonly address: AuthorityAddress;
  /** Ms since the epoch. */
  readonly now: number;
  readonly signal: AbortSignal;
}

/** Has a new key certified with a token. The token is sent to the authority that it names, and to nobody else. */
export async function enroll(
  wanted: Pick<SpiffeId, "namespace" | "appId"> & { readonly trustDomain?: string | undefined },
  token: string,
  { address, now, signal }: CallOptions,
): Promise<Enrolled> {
  const parts = parseToken(token);
  if (parts === undefined) {
    throw new IdentityError(
      'this is no token: it is one line that begins with "mecha1.", as "mecha ca token" printed it',
    );
  }
  const authority = await findAuthority(address, parts.fingerprint, signal);
  const trustDomain = trustDomainOf(authority);
  if (trustDomain === undefined || !authority.ca) {
    throw new IdentityError("the token names a certificate that is not one of an authority");
  }
  if (wanted.trustDomain !== undefined && wanted.trustDomain !== trustDomain) {
    throw new IdentityError(
      `the authority at ${address.text} is of trust domain "${trustDomain}", and this runtime is told to be of "${wanted.trustDomain}"`,
    );
  }
  const id = { trustDomain, namespace: wanted.namespace, appId: wanted.appId };
  const { certificateRequest, ...keys } = createRequest(id);
  const answer = await call({ ca: authority.toString() }, address, (client) =>
    client.enroll({ token, certificateRequest }, { signal }),
  ).catch((error: unknown) => {
    if (!(error instanceof AuthorityError) || error.kind === "refused") throw error;
    throw new AuthorityError("away", `${error.message}. The token may be used up: if it is refused now, get a new one`);
  });
  const enrolled = checkAnswer(answer, { ...keys, id, tokenId: parts.id, now });
  requireAmong(authority, enrolled);
  return enrolled;
}

/** Has a new key certified by what is there already. */
export async function renew(enrolled: Enrolled, { address, now, signal }: CallOptions): Promise<Enrolled> {
  const { id, tokenId } = enrolled;
  const { certificateRequest, ...keys } = createRequest(id);
  const answer = await call(toCredentials(enrolled).secrets(), address, (client) =>
    client.renew({ certificateRequest }, { signal }),
  );
  return checkAnswer(answer, { ...keys, id, tokenId, now });
}

function createRequest(id: SpiffeId) {
  const { privateKey: key, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificateRequest = createCertificateRequest(key, { commonName: id.appId, uri: formatSpiffeId(id) });
  return { key, publicKey, certificateRequest };
}

/** The authority that the token names vouches for the connection; it has to vouch for others still when they are met. */
function requireAmong(authority: X509Certificate, { authorities }: Enrolled): void {
  if (authorities.some((trusted) => fingerprintOf(trusted) === fingerprintOf(authority))) return;
  throw new IdentityError("the authority answered with other authorities than the one that the token names");
}

/** One call on a connection of its own: half a day passes until the next one. */
async function call(
  tls: NonNullable<TransportOptions["tls"]>,
  address: AuthorityAddress,
  method: (client: Client<typeof CertificateAuthorityService>) => Promise<Answer>,
): Promise<Answer> {
  await using transport: RpcTransport = createTransport({
    endpoint: `https://${address.text}`,
    // No runtime has a certificate for that name, whoever issued it.
    tls: { ...tls, serverName: authorityHostname },
    defaultTimeoutMs: callTimeoutMs,
    readMaxBytes: maxAnswerBytes,
    acceptCompression: false,
  });
  try {
    return await method(createClient(CertificateAuthorityService, transport));
  } catch (error) {
    throw toAuthorityError(error, address);
  }
}

function toAuthorityError(thrown: unknown, { text }: AuthorityAddress): AuthorityError {
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info === undefined || info.reason === "INTERNAL" || info.reason === "RATE_LIMITED") {
    return new AuthorityError("away", `the authority at ${text} gave no answer: ${error.rawMessage}`);
  }
  return new AuthorityError("refused", `the authority at ${text} refused: ${error.rawMessage}`);
}

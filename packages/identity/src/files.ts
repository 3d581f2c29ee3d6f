import type { Clock } from "@mecha/component";
import { certificatesIn, expireTimeOf, readCertificateFiles } from "./certificate-files.js";
import { type Credentials, type Identity, IdentityError, type IdentityLogger } from "./identity.js";
import { formatSpiffeId, parseSpiffeId, type SpiffeId, uriOf } from "./spiffe.js";

/** Where the certificates stand that somebody else makes and renews: cert-manager, SPIRE. Each is a PEM file. */
export interface IdentityFiles {
  /** This runtime's certificate, and the intermediate ones that lead to an authority. */
  readonly certificate: string;
  /** Its private key, which its owner alone may read, or a group too if it is root's. */
  readonly key: string;
  /** The authorities to trust. */
  readonly authorities: string;
}

/** Options of {@link createFileIdentity}. */
export interface FileIdentityOptions {
  readonly files: IdentityFiles;
  /** Who the runtime is; the certificate must say the same, in whatever trust domain. */
  readonly id: Pick<SpiffeId, "namespace" | "appId">;
  readonly clock: Clock;
  readonly logger: IdentityLogger;
}

/** An identity from files, read again when they change. What is wrong with them at first is thrown; later it is logged, and what was good stays. */
export function createFileIdentity({ files, id, clock, logger }: FileIdentityOptions): Identity {
  return readCertificateFiles({
    files: { certificate: files.certificate, key: files.key, authorities: files.authorities },
    parse: (texts, now) => toCredentials(texts, files, id, now),
    news: "read this runtime's new certificate",
    clock,
    logger,
  });
}

function toCredentials(
  texts: Record<keyof IdentityFiles, string>,
  files: IdentityFiles,
  wanted: Pick<SpiffeId, "namespace" | "appId">,
  now: number,
): Credentials {
  const [leaf] = certificatesIn(texts.certificate, files.certificate);
  certificatesIn(texts.authorities, files.authorities);
  const uri = uriOf(leaf) ?? "none";
  const id = parseSpiffeId(uri);
  if (id === undefined || id.namespace !== wanted.namespace || id.appId !== wanted.appId) {
    const expected = formatSpiffeId({ ...wanted, trustDomain: id?.trustDomain ?? "<trust domain>" });
    throw new IdentityError(`${files.certificate} is the certificate of ${uri}; this runtime needs one of ${expected}`);
  }
  const expireTime = expireTimeOf(leaf, files, texts, now);
  return { id, expireTime, secrets: () => ({ key: texts.key, cert: texts.certificate, ca: texts.authorities }) };
}

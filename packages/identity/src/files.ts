import { createPrivateKey, type X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Clock } from "@mecha/component";
import {
  type Credentials,
  createListeners,
  type Identity,
  IdentityError,
  type IdentityLogger,
  parseCertificates,
} from "./identity.js";
import { requirePrivate } from "./private-files.js";
import { formatSpiffeId, parseSpiffeId, type SpiffeId, uriOf } from "./spiffe.js";

/** Where the certificates stand that somebody else makes and renews: cert-manager, SPIRE. Each is a PEM file. */
export interface IdentityFiles {
  /** This runtime's certificate, and the intermediate ones that lead to an authority. */
  readonly certificate: string;
  /** Its private key, which nobody but its owner may read. */
  readonly key: string;
  /** The authorities to trust. */
  readonly authorities: string;
}

/** How often the files are read. Not watched: Kubernetes swaps them by symbolic links, which watchers miss. */
const readIntervalMs = 10_000;

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
  const listeners = createListeners();
  let text = readFiles(files);
  let current = toCredentials(text, files, id, clock.now());
  let complained = "";
  let cancelTimer = () => {};

  const check = () => {
    cancelTimer = clock.after(readIntervalMs, check);
    try {
      const found = readFiles(files);
      if (isSame(found, text)) return;
      current = toCredentials(found, files, id, clock.now());
      text = found;
      complained = "";
    } catch (error) {
      // Half of the files may be new: the next look tells. The same complaint is made once.
      const message = error instanceof Error ? error.message : String(error);
      if (message !== complained)
        logger.error(
          { expires: new Date(current.expireTime) },
          `${message}; the certificate that was read before stays in use`,
        );
      complained = message;
      return;
    }
    logger.info(
      { id: formatSpiffeId(current.id), expires: new Date(current.expireTime) },
      "read this runtime's new certificate",
    );
    listeners.tell(current);
  };
  cancelTimer = clock.after(readIntervalMs, check);
  return {
    get current() {
      return current;
    },
    onChange: listeners.onChange,
    close: () => cancelTimer(),
  };
}

type FileTexts = Record<keyof IdentityFiles, string>;

function readFiles(files: IdentityFiles): FileTexts {
  const read = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      throw new IdentityError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error });
    }
  };
  const texts = { certificate: read(files.certificate), key: read(files.key), authorities: read(files.authorities) };
  requirePrivate(files.key);
  return texts;
}

const isSame = (a: FileTexts, b: FileTexts) =>
  a.certificate === b.certificate && a.key === b.key && a.authorities === b.authorities;

function toCredentials(
  texts: FileTexts,
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
  const expireTime = leaf.validToDate.getTime();
  if (now >= expireTime) throw new IdentityError(`the certificate ${files.certificate} expired on ${leaf.validTo}`);
  if (!matches(leaf, texts.key)) {
    throw new IdentityError(`${files.key} is not the private key of the certificate ${files.certificate}`);
  }
  return { id, expireTime, secrets: () => ({ key: texts.key, cert: texts.certificate, ca: texts.authorities }) };
}

function certificatesIn(text: string, path: string): [X509Certificate, ...X509Certificate[]] {
  let found: X509Certificate[] = [];
  try {
    found = parseCertificates(text);
  } catch (cause) {
    throw new IdentityError(`${path} holds a certificate that cannot be read`, { cause });
  }
  const [first, ...rest] = found;
  if (first === undefined) throw new IdentityError(`${path} holds no certificate in PEM`);
  return [first, ...rest];
}

function matches(leaf: X509Certificate, key: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    // Its own words could quote the key.
    return false;
  }
}

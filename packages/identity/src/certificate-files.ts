import { createPrivateKey, type X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { Clock } from "@mecha/component";
import { createListeners, IdentityError, type IdentityLogger, parseCertificates, type Renewed } from "./identity.js";
import { codeOf, requirePrivate } from "./private-files.js";

/** How often the files are read. Not watched: Kubernetes swaps them by symbolic links, which watchers miss. */
const readIntervalMs = 10_000;

type Texts<Names extends string> = Readonly<Record<Names | "certificate" | "key", string>>;

export interface CertificateFilesOptions<Names extends string, Value> {
  /** The path of each PEM file; `key` is that of a private key, which its owner alone may read, or a group too if it is root's. */
  readonly files: Texts<Names>;
  /** Makes what is wanted of their texts; throws an IdentityError that names the file. */
  readonly parse: (texts: Texts<Names>, now: number) => Value;
  /** What is said when they were read anew. */
  readonly news: string;
  readonly clock: Clock;
  readonly logger: IdentityLogger;
}

/** Files of a certificate, read again when they change. What is wrong with them at first is thrown; later it is logged, and what was good stays. */
export function readCertificateFiles<Names extends string, Value extends { readonly expireTime: number }>({
  files,
  parse,
  news,
  clock,
  logger,
}: CertificateFilesOptions<Names, Value>): Renewed<Value> {
  const listeners = createListeners<Value>();
  let texts = readTexts(files);
  let current = parse(texts, clock.now());
  let complained = "";
  let cancelTimer = () => {};

  const check = () => {
    cancelTimer = clock.after(readIntervalMs, check);
    try {
      const found = readTexts(files);
      if (isSame(found, texts)) return;
      current = parse(found, clock.now());
      texts = found;
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
    logger.info({ certificate: files.certificate, expires: new Date(current.expireTime) }, news);
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

function readTexts<Names extends string>(files: Texts<Names>): Texts<Names> {
  const texts = Object.entries<string>(files).map(([name, path]) => [name, readText(path)]);
  requirePrivate(files.key);
  return Object.fromEntries(texts) as Texts<Names>;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new IdentityError(`${path} cannot be read (${codeOf(error)})`, { cause: error });
  }
}

const isSame = <Texts extends object>(a: Texts, b: Texts) =>
  (Object.keys(a) as (keyof Texts)[]).every((name) => a[name] === b[name]);

/** The certificates of a PEM file, of which there is one at least. */
export function certificatesIn(text: string, path: string): [X509Certificate, ...X509Certificate[]] {
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

/** When a certificate expires, ms since the epoch. Throws if it has, if it is of another key, or if OpenSSL does not take the two. */
export function expireTimeOf(
  leaf: X509Certificate,
  files: Record<"certificate" | "key", string>,
  texts: Record<"certificate" | "key", string>,
  now: number,
): number {
  const { certificate, key } = files;
  const expireTime = leaf.validToDate.getTime();
  if (now >= expireTime) throw new IdentityError(`the certificate ${certificate} expired on ${leaf.validTo}`);
  if (!matches(leaf, texts.key)) {
    throw new IdentityError(`${key} is not the private key of the certificate ${certificate}`);
  }
  try {
    createSecureContext({ cert: texts.certificate, key: texts.key });
  } catch (error) {
    throw new IdentityError(`the certificate ${certificate} cannot be used for TLS (${codeOf(error)})`);
  }
  return expireTime;
}

function matches(leaf: X509Certificate, key: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    // Its own words could quote the key.
    return false;
  }
}

import type { Clock } from "@mecha/component";
import { certificatesIn, expireTimeOf, readCertificateFiles } from "./certificate-files.js";
import type { IdentityLogger, Renewed } from "./identity.js";

/** What proves to outsiders whose server they reached, for a while. */
export interface ServerCertificate {
  /** When it expires, ms since the epoch. */
  readonly expireTime: number;
  /** For TLS. A function, so that nothing that prints a certificate prints the private key. */
  secrets(): { readonly key: string; readonly cert: string };
}

/** Options of {@link readServerCertificate}. */
export interface ServerCertificateOptions {
  /** PEM files: the certificate, with the intermediate ones, and its private key, which its owner alone may read, or a group too if it is root's. */
  readonly files: { readonly certificate: string; readonly key: string };
  readonly clock: Clock;
  readonly logger: IdentityLogger;
}

/** A server's certificate, read again within 10 s when its files change. What is wrong with them at first is thrown; later it is logged, and what was good stays. */
export function readServerCertificate({ files, clock, logger }: ServerCertificateOptions): Renewed<ServerCertificate> {
  return readCertificateFiles({
    files: { certificate: files.certificate, key: files.key },
    parse(texts, now) {
      const [leaf] = certificatesIn(texts.certificate, files.certificate);
      const expireTime = expireTimeOf(leaf, files, texts, now);
      return { expireTime, secrets: () => ({ key: texts.key, cert: texts.certificate }) };
    },
    news: "read the server's new certificate",
    clock,
    logger,
  });
}

import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Credentials, IdentityError, parseCertificates } from "../identity.js";
import { codeOf, ensurePrivateFolder, removeDrafts, replacePrivately, requirePrivate } from "../private-files.js";
import { parseSpiffeId, type SpiffeId, uriOf } from "../spiffe.js";

/** What a runtime got from an authority. */
export interface Enrolled {
  readonly id: SpiffeId;
  readonly key: KeyObject;
  /** Its own, then the intermediate ones. */
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
  /** The authorities that it trusts. */
  readonly authorities: readonly X509Certificate[];
  /** The id of the token that it enrolled with. */
  readonly tokenId: string;
}

/** Where it lasts. */
export interface EnrolledStore {
  /** Undefined before the first enrolment; throws an IdentityError for what is damaged, or readable by others. */
  read(): Enrolled | undefined;
  write(enrolled: Enrolled): void;
}

/** One file for key and certificates: they change together or not at all. */
const fileName = "identity.json";

/** Opens the folder (0700), and makes it where there is none. */
export function openStore(folder: string): EnrolledStore {
  ensurePrivateFolder(folder);
  removeDrafts(folder);
  const path = join(folder, fileName);
  return {
    read() {
      let text: string;
      try {
        requirePrivate(path);
        text = readFileSync(path, "utf8");
      } catch (error) {
        if (codeOf(error) === "ENOENT") return undefined;
        if (error instanceof IdentityError) throw error;
        throw new IdentityError(`${path} cannot be read (${codeOf(error)})`, { cause: error });
      }
      const enrolled = parse(text);
      if (enrolled !== undefined) return enrolled;
      throw new IdentityError(`${path} is damaged: remove it, and start this runtime with a new token`);
    },
    write({ key, certificates, authorities, tokenId }) {
      const file = {
        version: 1,
        tokenId,
        key: toPem(key),
        certificates: certificates.join(""),
        authorities: authorities.join(""),
      };
      replacePrivately(path, `${JSON.stringify(file, undefined, 2)}\n`);
    },
  };
}

/** For TLS. */
export function toCredentials({ id, key, certificates, authorities }: Enrolled): Credentials {
  const [leaf] = certificates;
  const secrets = { key: toPem(key), cert: certificates.join(""), ca: authorities.join("") };
  return { id, expireTime: leaf.validToDate.getTime(), secrets: () => secrets };
}

const toPem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();

function parse(text: string): Enrolled | undefined {
  try {
    const file: unknown = JSON.parse(text);
    if (typeof file !== "object" || file === null) return undefined;
    const { version, tokenId, key, certificates, authorities } = file as Record<string, unknown>;
    if (version !== 1) return undefined;
    const privateKey = createPrivateKey(String(key));
    const [leaf, ...intermediates] = parseCertificates(String(certificates));
    const trusted = parseCertificates(String(authorities));
    if (leaf === undefined || trusted.length === 0 || !leaf.checkPrivateKey(privateKey)) return undefined;
    const id = parseSpiffeId(uriOf(leaf) ?? "");
    if (id === undefined) return undefined;
    const chain = [leaf, ...intermediates] as const;
    return { id, key: privateKey, certificates: chain, authorities: trusted, tokenId: String(tokenId) };
  } catch {
    // Its own words could quote the key.
    return undefined;
  }
}

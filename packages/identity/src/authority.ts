import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { signCertificate } from "./certificate.js";
import { IdentityError, trustDomainOf } from "./identity.js";
import { formatSpiffeId, type SpiffeId } from "./spiffe.js";

/** A development authority: the runtimes that share a data directory trust one another by it. */
export interface Authority {
  readonly trustDomain: string;
  readonly certificate: X509Certificate;
  /** Signs a certificate for a runtime's key. */
  issue(request: { id: SpiffeId; publicKey: KeyObject; notBefore: number; notAfter: number }): X509Certificate;
}

const lifetimeMs = 10 * 365 * 24 * 60 * 60 * 1000;
/** Clocks of several hosts differ. */
const backdatedMs = 5 * 60 * 1000;

const folderOf = (dataDir: string) => join(dataDir, "ca");

/** Opens the authority of a data directory; makes it first where there is none. Several processes may do so at the same moment. */
export function openAuthority(dataDir: string, trustDomain: string, now: number): Authority {
  const existing = readAuthority(dataDir, now);
  if (existing === undefined) createAuthority(dataDir, trustDomain, now);
  const authority = existing ?? readAuthority(dataDir, now);
  if (authority === undefined) throw new IdentityError(`${folderOf(dataDir)} disappeared while it was opened`);
  if (authority.trustDomain !== trustDomain) {
    throw new IdentityError(
      `the authority in ${folderOf(dataDir)} is of trust domain "${authority.trustDomain}", and this runtime is told to be of "${trustDomain}": use that trust domain, or another data directory`,
    );
  }
  return authority;
}

/** Makes an authority whole in a folder of its own (0700, files 0600) and moves it into place, where one exists already it stays. */
function createAuthority(dataDir: string, trustDomain: string, now: number): void {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const commonName = `Mecha authority of ${trustDomain}`;
  const certificate = signCertificate(
    {
      commonName,
      uri: `spiffe://${trustDomain}`,
      publicKey,
      notBefore: now - backdatedMs,
      notAfter: now + lifetimeMs,
      isAuthority: true,
    },
    { commonName, key: privateKey },
  );
  const draft = mkdtempSync(`${folderOf(dataDir)}-`);
  try {
    writePrivately(join(draft, "ca.key"), privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    writePrivately(join(draft, "ca.crt"), certificate.toString());
    renameSync(draft, folderOf(dataDir));
  } catch (error) {
    // Another runtime was faster: its authority is as good.
    if (!["ENOTEMPTY", "EEXIST", "EPERM"].includes(codeOf(error) ?? "") || readAuthority(dataDir, now) === undefined)
      throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function writePrivately(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Reads the authority; undefined if there is none. */
export function readAuthority(dataDir: string, now: number): Authority | undefined {
  const [keyPath, certificatePath] = [join(folderOf(dataDir), "ca.key"), join(folderOf(dataDir), "ca.crt")];
  let key: KeyObject;
  let certificate: X509Certificate;
  try {
    // Looked at before it is read: a key that others could read is not used, so that somebody notices.
    requirePrivate(keyPath);
    key = createPrivateKey(readFileSync(keyPath));
    certificate = new X509Certificate(readFileSync(certificatePath));
  } catch (error) {
    if (error instanceof IdentityError) throw error;
    if (codeOf(error) === "ENOENT" && statSync(folderOf(dataDir), { throwIfNoEntry: false }) === undefined)
      return undefined;
    throw new IdentityError(
      `the authority in ${folderOf(dataDir)} cannot be read (${codeOf(error) ?? "damaged"}): restore ca.key and ca.crt, or remove the folder and restart every runtime of this data directory, which makes a new one`,
      { cause: error },
    );
  }
  const trustDomain = trustDomainOf(certificate);
  if (trustDomain === undefined || !certificate.ca || !certificate.checkPrivateKey(key)) {
    throw new IdentityError(`${certificatePath} is not the certificate of the authority whose key is beside it`);
  }
  if (now >= certificate.validToDate.getTime()) {
    throw new IdentityError(
      `the authority in ${folderOf(dataDir)} expired on ${certificate.validTo}: remove the folder and restart every runtime of this data directory, which makes a new one`,
    );
  }
  const commonName = certificate.subject.replace(/^CN=/, "");
  return {
    trustDomain,
    certificate,
    issue({ id, publicKey, notBefore, notAfter }) {
      const content = { uri: formatSpiffeId(id), publicKey, notBefore: notBefore - backdatedMs, notAfter };
      return signCertificate({ ...content, commonName: id.appId, isAuthority: false }, { commonName, key });
    },
  };
}

/** Refuses a key that others than its owner may read. (Windows has no such modes.) */
export function requirePrivate(path: string): void {
  const mode = statSync(path).mode & 0o777;
  if (process.platform === "win32" || (mode & 0o077) === 0) return;
  throw new IdentityError(
    `the private key ${path} has mode 0${mode.toString(8)}, so that others may read it: chmod 600 it, and replace it if somebody may have`,
  );
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { authorityHostname, formatAuthorityId } from "./authority-id.js";
import { signCertificate } from "./certificate.js";
import { IdentityError, parseCertificates, trustDomainOf } from "./identity.js";
import { codeOf, requirePrivate, syncFolder, writePrivately } from "./private-files.js";
import { formatSpiffeId, isTrustDomain, type SpiffeId } from "./spiffe.js";

/** Who vouches for runtimes: a key, and the certificate that they trust. */
export interface Authority {
  readonly trustDomain: string;
  readonly certificate: X509Certificate;
  /** All that its runtimes are to trust: its own certificate first, then those of `trusted.crt`, while one authority takes the place of another. */
  readonly authorities: readonly X509Certificate[];
  /** Signs a certificate for a runtime's key. */
  issue(request: IssueRequest & { readonly id: SpiffeId }): X509Certificate;
  /** Signs a certificate for the key of the authority's own server. */
  issueForItself(request: IssueRequest): X509Certificate;
}

interface IssueRequest {
  readonly publicKey: KeyObject;
  /** Ms since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

const lifetimeMs = 10 * 365 * 24 * 60 * 60 * 1000;
/** Clocks of several hosts differ. */
const backdatedMs = 5 * 60 * 1000;
/** A host may take its local time for UTC until somebody sets its clock right, and what it made by then is never renewed. */
const authorityBackdatedMs = 24 * 60 * 60 * 1000;

const folderOf = (dataDir: string) => join(dataDir, "ca");
const makeAnew = "remove the folder and restart every runtime of this data directory, which makes a new one";

/** Opens the authority of a data directory; makes it first where there is none. Several processes may do so at the same moment. */
export function openAuthority(dataDir: string, trustDomain: string, now: number): Authority {
  const folder = folderOf(dataDir);
  const existing = readAuthority(folder, now, makeAnew);
  // Where another runtime was faster its authority is as good.
  if (existing === undefined) writeAuthority(folder, trustDomain, now);
  const authority = existing ?? readAuthority(folder, now, makeAnew);
  if (authority === undefined) throw new IdentityError(`${folder} disappeared while it was opened`);
  if (authority.trustDomain !== trustDomain) {
    throw new IdentityError(
      `the authority in ${folder} is of trust domain "${authority.trustDomain}", and this runtime is told to be of "${trustDomain}": use that trust domain, or another data directory`,
    );
  }
  return authority;
}

/** Options of {@link createAuthority}. */
export interface CreateAuthorityOptions {
  /** The trust domain that it vouches for: lower-case letters, digits, ".", "-" and "_", at most 255. A domain of your own is unique. */
  readonly trustDomain: string;
  /** Ms since the epoch. Default: now. */
  readonly now?: number;
}

/**
 * Makes an authority for several hosts: a folder (0700) with `ca.key` (0600) and `ca.crt`, good for 10 years. Whoever can read the key can be
 * any app. Throws an IdentityError if there is something in the folder already.
 */
export function createAuthority(folder: string, { trustDomain, now = Date.now() }: CreateAuthorityOptions): Authority {
  if (!isTrustDomain(trustDomain)) {
    throw new IdentityError(
      `"${trustDomain}" is no trust domain: it is 1 to 255 lower-case letters, digits, ".", "-" and "_"`,
    );
  }
  if (!writeAuthority(folder, trustDomain, now)) {
    throw new IdentityError(
      `${folder} exists and is not empty: nothing of it was changed. Use the authority that is in it, or name another folder`,
    );
  }
  return loadAuthority(folder, now);
}

/** Reads the authority of a folder; throws an IdentityError if there is none. */
export function loadAuthority(folder: string, now: number): Authority {
  const authority = readAuthority(
    folder,
    now,
    'make a new one in another folder with "mecha ca init", and have every runtime enrol with it',
  );
  if (authority !== undefined) return authority;
  throw new IdentityError(
    `there is no authority in ${folder}: make one with "mecha ca init --dir ${folder} --trust-domain <name>"`,
  );
}

/**
 * Makes an authority whole in a folder of its own (0700, files 0600) and moves it into place; tells whether it did. Where there is something
 * already it stays.
 */
function writeAuthority(folder: string, trustDomain: string, now: number): boolean {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const commonName = `Mecha authority of ${trustDomain}`;
  const certificate = signCertificate(
    {
      commonName,
      uri: `spiffe://${trustDomain}`,
      publicKey,
      notBefore: now - authorityBackdatedMs,
      notAfter: now + lifetimeMs,
      isAuthority: true,
    },
    { commonName, key: privateKey },
  );
  const target = resolve(folder);
  mkdirSync(dirname(target), { recursive: true });
  const draft = mkdtempSync(`${target}-`);
  try {
    writePrivately(join(draft, "ca.key"), privateKey.export({ type: "pkcs8", format: "pem" }).toString());
    writePrivately(join(draft, "ca.crt"), certificate.toString());
    renameSync(draft, target);
    syncFolder(dirname(target));
    return true;
  } catch (error) {
    const isThere = statSync(target, { throwIfNoEntry: false }) !== undefined;
    if (isThere && ["ENOTEMPTY", "EEXIST", "EPERM", "ENOTDIR"].includes(codeOf(error) ?? "")) return false;
    throw error;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Reads an authority; undefined if there is no such folder. `remedy` is what to do about one that is lost. */
function readAuthority(folder: string, now: number, remedy: string): Authority | undefined {
  const [keyPath, certificatePath] = [join(folder, "ca.key"), join(folder, "ca.crt")];
  let key: KeyObject;
  let certificate: X509Certificate;
  try {
    // Looked at before it is read: a key that others could read is not used, so that somebody notices.
    requirePrivate(keyPath);
    key = createPrivateKey(readFileSync(keyPath));
    certificate = new X509Certificate(readFileSync(certificatePath));
  } catch (error) {
    if (error instanceof IdentityError) throw error;
    if (codeOf(error) === "ENOENT" && statSync(folder, { throwIfNoEntry: false }) === undefined) return undefined;
    throw new IdentityError(
      `the authority in ${folder} cannot be read (${codeOf(error) ?? "damaged"}): restore ca.key and ca.crt, or ${remedy}`,
      { cause: error },
    );
  }
  const trustDomain = trustDomainOf(certificate);
  if (trustDomain === undefined || !certificate.ca || !certificate.checkPrivateKey(key)) {
    throw new IdentityError(`${certificatePath} is not the certificate of the authority whose key is beside it`);
  }
  if (now >= certificate.validToDate.getTime()) {
    throw new IdentityError(`the authority in ${folder} expired on ${certificate.validTo}: ${remedy}`);
  }
  const commonName = certificate.subject.replace(/^CN=/, "");
  const sign = (uri: string, subject: string, { publicKey, notBefore, notAfter }: IssueRequest, dnsName?: string) =>
    signCertificate(
      {
        commonName: subject,
        uri,
        ...(dnsName !== undefined && { dnsName }),
        publicKey,
        notBefore: notBefore - backdatedMs,
        notAfter,
        isAuthority: false,
      },
      { commonName, key },
    );
  return {
    trustDomain,
    certificate,
    authorities: [certificate, ...readTrusted(join(folder, "trusted.crt"), certificate, now)],
    issue: ({ id, ...request }) => sign(formatSpiffeId(id), id.appId, request),
    issueForItself: (request) => sign(formatAuthorityId(trustDomain), "ca", request, authorityHostname),
  };
}

/** Authorities that are trusted besides the one that issues: the one before it, or the one after it. None without the file. */
function readTrusted(path: string, own: X509Certificate, now: number): X509Certificate[] {
  let found: X509Certificate[];
  try {
    found = parseCertificates(readFileSync(path, "utf8"));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw new IdentityError(`${path} cannot be read (${codeOf(error) ?? "damaged"})`, { cause: error });
  }
  for (const certificate of found) {
    if (!certificate.ca || trustDomainOf(certificate) !== trustDomainOf(own)) {
      throw new IdentityError(`${path} holds a certificate that is of no authority of "${trustDomainOf(own)}"`);
    }
  }
  const isOther = ({ fingerprint256 }: X509Certificate) => fingerprint256 !== own.fingerprint256;
  return found.filter((certificate) => isOther(certificate) && now < certificate.validToDate.getTime());
}

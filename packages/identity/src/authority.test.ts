import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "../test/helpers.js";
import { createAuthority, loadAuthority, openAuthority } from "./authority.js";
import { IdentityError } from "./identity.js";
import { issueCredentials } from "./issued.js";
import { uriOf } from "./spiffe.js";

const now = Date.UTC(2026, 0, 1);
const day = 24 * 60 * 60 * 1000;
const id = { trustDomain: "mecha.internal", namespace: "default", appId: "shop" };

test("the folder is private, and so is the key", () => {
  const dataDir = temporaryFolder();
  openAuthority(dataDir, "mecha.internal", now);
  expect(statSync(join(dataDir, "ca")).mode & 0o777).toBe(0o700);
  expect(statSync(join(dataDir, "ca/ca.key")).mode & 0o777).toBe(0o600);
  expect(readdirSync(dataDir)).toEqual(["ca"]);
});

test("certificates are those of SPIFFE: one URI, no authority, for both sides of TLS, signed by the authority", () => {
  const authority = openAuthority(temporaryFolder(), "mecha.internal", now);
  const certificate = new X509Certificate(issueCredentials(authority, id, now).secrets().cert);
  expect(uriOf(certificate)).toBe("spiffe://mecha.internal/ns/default/app/shop");
  expect(certificate.ca).toBe(false);
  expect(certificate.verify(authority.certificate.publicKey)).toBe(true);
  expect(certificate.checkIssued(authority.certificate)).toBe(true);
  expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  expect(certificate.validToDate.getTime()).toBe(now + day);
  expect(authority.certificate.ca).toBe(true);
  expect(uriOf(authority.certificate)).toBe("spiffe://mecha.internal");
});

test("of several processes that make it at the same moment all get the same one", async () => {
  const dataDir = temporaryFolder();
  const program = fileURLToPath(new URL("../test/open-authority.ts", import.meta.url));
  const start = String(Date.now() + 1_500);
  const opened = Array.from({ length: 6 }, () => promisify(execFile)(process.execPath, [program, dataDir, start]));
  const fingerprints = (await Promise.all(opened)).map(({ stdout }) => stdout.trim());
  expect(fingerprints[0]).toMatch(/^[0-9A-F:]{95}$/);
  expect(new Set(fingerprints).size).toBe(1);
  expect(readdirSync(dataDir)).toEqual(["ca"]);
});

test("a key that others may read is refused", () => {
  const dataDir = temporaryFolder();
  openAuthority(dataDir, "mecha.internal", now);
  chmodSync(join(dataDir, "ca/ca.key"), 0o640);
  expect(() => openAuthority(dataDir, "mecha.internal", now)).toThrow(/ca\.key has mode 0640.*chmod 600/);
});

test("what is damaged, incomplete, expired or of another trust domain is refused with what to do, and is not replaced", () => {
  const dataDir = temporaryFolder();
  openAuthority(dataDir, "mecha.internal", now);
  const path = join(dataDir, "ca/ca.crt");
  const good = readFileSync(path);
  expect(() => openAuthority(dataDir, "other.example", now)).toThrow(/is of trust domain "mecha.internal"/);
  expect(() => openAuthority(dataDir, "mecha.internal", now + 3660 * day)).toThrow(/expired on .* remove the folder/);
  writeFileSync(path, "damaged");
  expect(() => openAuthority(dataDir, "mecha.internal", now)).toThrow(/cannot be read .* restore ca.key and ca.crt/);
  rmSync(path);
  expect(() => openAuthority(dataDir, "mecha.internal", now)).toThrow(/cannot be read \(ENOENT\)/);
  writeFileSync(path, openAuthority(temporaryFolder(), "mecha.internal", now).certificate.toString());
  expect(() => openAuthority(dataDir, "mecha.internal", now)).toThrow(/not the certificate of the authority/);
  writeFileSync(path, good);
  expect(loadAuthority(join(dataDir, "ca"), now).trustDomain).toBe("mecha.internal");
});

test("credentials say nothing of their key when they are printed", () => {
  const credentials = issueCredentials(openAuthority(temporaryFolder(), "mecha.internal", now), id, now);
  expect(JSON.stringify(credentials)).not.toContain("PRIVATE");
  expect(String(credentials.secrets().key)).toContain("PRIVATE KEY");
});

test("an authority for several hosts is made once: what is in its folder stays", () => {
  const folder = join(temporaryFolder(), "parent", "ca");
  const made = createAuthority(folder, { trustDomain: "shop.example", now });
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, "ca.key")).mode & 0o777).toBe(0o600);
  expect(uriOf(made.certificate)).toBe("spiffe://shop.example");
  expect(() => createAuthority(folder, { trustDomain: "shop.example", now })).toThrow(/exists and is not empty/);
  expect(loadAuthority(folder, now).certificate.fingerprint256).toBe(made.certificate.fingerprint256);
  expect(readdirSync(join(folder, ".."))).toEqual(["ca"]);

  const other = temporaryFolder();
  writeFileSync(join(other, "notes.txt"), "mine");
  expect(() => createAuthority(other, { trustDomain: "shop.example", now })).toThrow(/nothing of it was changed/);
  expect(readdirSync(other)).toEqual(["notes.txt"]);
  expect(() => createAuthority(join(other, "notes.txt"), { trustDomain: "shop.example", now })).toThrow(IdentityError);
  expect(() => createAuthority(join(other, "ca"), { trustDomain: "Shop", now })).toThrow('"Shop" is no trust domain');
  expect(() => loadAuthority(join(other, "ca"), now)).toThrow(
    /there is no authority in .*: make one with "mecha ca init/,
  );
});

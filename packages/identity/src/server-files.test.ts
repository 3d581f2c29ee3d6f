import { generateKeyPairSync } from "node:crypto";
import { chmodSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createManualClock } from "@mecha/component/conformance";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { temporaryFolder } from "../test/helpers.js";
import { createLog } from "../test/log.js";
import { openAuthority } from "./authority.js";
import { signCertificate } from "./certificate.js";
import { issueCredentials } from "./issued.js";
import { readServerCertificate } from "./server-files.js";

afterEach(() => vi.restoreAllMocks());

/** A server's certificate as somebody else would put it into files. */
function createFiles() {
  const clock = createManualClock();
  const log = createLog();
  const folder = temporaryFolder();
  const files = { certificate: join(folder, "tls.crt"), key: join(folder, "tls.key") };
  const authority = openAuthority(temporaryFolder(), "corp.example", clock.now());
  const put = (path: string, text: string) => {
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  };
  const issue = () => {
    const id = { trustDomain: "corp.example", namespace: "default", appId: "edge" };
    return issueCredentials(authority, id, clock.now()).secrets();
  };
  const read = () => {
    const certificate = readServerCertificate({ files, clock, logger: log.logger });
    onTestFinished(certificate.close);
    return certificate;
  };
  const first = issue();
  put(files.certificate, first.cert);
  put(files.key, first.key);
  return { clock, log, files, put, issue, read };
}

test("a server's certificate is read again when it changes, not by half, and its key is not logged", () => {
  const { clock, log, files, put, issue, read } = createFiles();
  const certificate = read();
  const told: string[] = [];
  certificate.onChange(({ secrets }) => told.push(secrets().cert));
  const next = issue();
  put(files.certificate, next.cert);
  clock.advance(20_000);
  expect(told).toEqual([]);
  expect(log.lines.filter((line) => line.includes("is not the private key"))).toHaveLength(1);
  put(files.key, next.key);
  clock.advance(10_000);
  expect(told).toEqual([next.cert]);
  expect(certificate.current.secrets()).toEqual({ cert: next.cert, key: next.key });
  expect(log.lines.join()).toContain("read the server's new certificate");
  expect(log.lines.join()).not.toMatch(/PRIVATE|BEGIN/);
});

test("a certificate that TLS does not take is an error at the start, and not taken later", () => {
  const { clock, log, files, put, read } = createFiles();
  const certificate = read();
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 512 });
  const now = clock.now();
  const small = signCertificate(
    {
      commonName: "edge",
      uri: "spiffe://corp.example/ns/default/app/edge",
      publicKey,
      notBefore: now,
      notAfter: now + 3_600_000,
      isAuthority: false,
    },
    { commonName: "authority", key: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey },
  );
  put(files.certificate, String(small));
  put(files.key, privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  const before = certificate.current;
  clock.advance(10_000);
  expect(certificate.current).toBe(before);
  expect(log.lines.join()).toMatch(
    /cannot be used for TLS \(ERR_SSL_\w+\); the certificate that was read before stays in use/,
  );
  expect(read).toThrow(/tls\.crt cannot be used for TLS/);
});

test("what is wrong with a server's files at the start is an error that names the file", () => {
  const { clock, files, put, issue, read } = createFiles();
  put(files.key, issue().key);
  expect(read).toThrow(/tls\.key is not the private key of the certificate .*tls\.crt/);
  put(files.certificate, "");
  expect(read).toThrow(/tls\.crt holds no certificate in PEM/);
  const { cert, key } = issue();
  put(files.certificate, cert);
  put(files.key, key);
  clock.advance(25 * 60 * 60 * 1000);
  expect(read).toThrow(/tls\.crt expired on/);
});

test.skipIf(process.getuid?.() !== 0)(
  "a key of root's may be read by a group, as Kubernetes mounts one, by nobody else",
  () => {
    const { files, read } = createFiles();
    vi.spyOn(process as Required<typeof process>, "geteuid").mockReturnValue(1000);
    chmodSync(files.key, 0o440);
    expect(read().current.expireTime).toBeGreaterThan(0);
    for (const mode of [0o444, 0o460, 0o450]) {
      chmodSync(files.key, mode);
      expect(read).toThrow(`mode 0${mode.toString(8)}`);
    }
    vi.restoreAllMocks();
    chmodSync(files.key, 0o440);
    expect(read).toThrow("mode 0440");
  },
);

import { X509Certificate } from "node:crypto";
import { chmodSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createManualClock } from "@mecha/component/conformance";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../test/helpers.js";
import { createLog } from "../test/log.js";
import { openAuthority } from "./authority.js";
import { createFileIdentity } from "./files.js";
import type { Credentials } from "./identity.js";
import { createIssuedIdentity, issueCredentials } from "./issued.js";

const hour = 60 * 60 * 1000;
const id = { trustDomain: "mecha.internal", namespace: "default", appId: "shop" };

const certOf = ({ secrets }: Credentials) => new X509Certificate(secrets().cert);

test("a certificate of 24 hours is renewed at half of its life, with a new key", () => {
  const clock = createManualClock();
  const log = createLog();
  const identity = createIssuedIdentity({ id, dataDir: temporaryFolder(), clock, logger: log.logger });
  onTestFinished(identity.close);
  const told: Credentials[] = [];
  identity.onChange((credentials) => told.push(credentials));
  const first = identity.current;
  expect(first.expireTime - clock.now()).toBe(24 * hour);
  clock.advance(12 * hour - 1);
  expect(identity.current).toBe(first);
  clock.advance(60_000);
  expect(told).toEqual([identity.current]);
  expect(identity.current.secrets().key).not.toBe(first.secrets().key);
  expect(certOf(identity.current).validFromDate.getTime()).toBeGreaterThan(certOf(first).validFromDate.getTime());
  expect(log.lines.join()).toContain("renewed");
  expect(log.lines.join()).not.toMatch(/PRIVATE|BEGIN/);
});

test("what keeps it from renewing is logged, and it renews once that is over", () => {
  const clock = createManualClock();
  const dataDir = temporaryFolder();
  const log = createLog();
  const identity = createIssuedIdentity({ id, dataDir, clock, logger: log.logger });
  onTestFinished(identity.close);
  const first = identity.current;
  chmodSync(join(dataDir, "ca/ca.key"), 0o644);
  clock.advance(13 * hour);
  expect(identity.current).toBe(first);
  expect(log.lines.join()).toContain("cannot renew");
  chmodSync(join(dataDir, "ca/ca.key"), 0o600);
  clock.advance(60_000);
  expect(identity.current).not.toBe(first);
  expect(log.lines.join()).not.toMatch(/PRIVATE|BEGIN/);
});

/** Certificates as somebody else would put them into files. */
function createFiles(clock = createManualClock()) {
  const folder = temporaryFolder();
  const authority = openAuthority(temporaryFolder(), "corp.example", clock.now());
  const files = {
    certificate: join(folder, "tls.crt"),
    key: join(folder, "tls.key"),
    authorities: join(folder, "ca.crt"),
  };
  const write = (changed: Partial<typeof id> = {}, at = clock.now()) => {
    const { key, cert, ca } = issueCredentials(
      authority,
      { ...id, trustDomain: "corp.example", ...changed },
      at,
    ).secrets();
    const put = (path: string, text: unknown) => {
      writeFileSync(`${path}.new`, String(text), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    };
    return {
      key: () => put(files.key, key),
      cert: () => put(files.certificate, cert),
      ca: () => put(files.authorities, ca),
    };
  };
  const writeAll = (...given: Parameters<typeof write>) => {
    for (const put of Object.values(write(...given))) put();
  };
  const log = createLog();
  const open = () => {
    const identity = createFileIdentity({ files, id, clock, logger: log.logger });
    onTestFinished(identity.close);
    return identity;
  };
  writeAll();
  return { clock, files, write, writeAll, open, log };
}

test("certificates from files are read again when they change, and half of a change is not taken", () => {
  const { clock, write, open, log } = createFiles();
  const identity = open();
  const first = identity.current;
  expect(first.id.trustDomain).toBe("corp.example");
  const next = write();
  next.cert();
  clock.advance(30_000);
  expect(identity.current).toBe(first);
  expect(log.lines.filter((line) => line.includes("not the private key"))).toHaveLength(1);
  next.key();
  clock.advance(10_000);
  expect(identity.current).not.toBe(first);
  expect(log.lines.join()).not.toMatch(/PRIVATE|BEGIN/);
});

test("what is wrong with the files at the start is an error that names the file", () => {
  const { clock, files, writeAll, open } = createFiles();
  writeAll({ appId: "other" });
  expect(open).toThrow(
    /tls\.crt is the certificate of spiffe:\/\/corp\.example\/ns\/default\/app\/other; .* one of spiffe:\/\/corp\.example\/ns\/default\/app\/shop/,
  );
  writeAll({}, clock.now() - 25 * hour);
  expect(open).toThrow(/expired on/);
  writeAll();
  chmodSync(files.key, 0o644);
  expect(open).toThrow(/mode 0644/);
  writeAll();
  writeFileSync(files.authorities, "");
  expect(open).toThrow(/ca\.crt holds no certificate in PEM/);
  writeFileSync(files.authorities, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  expect(open).toThrow(/ca\.crt holds a certificate that cannot be read/);
  expect(() =>
    createFileIdentity({ files: { ...files, key: "/nowhere" }, id, clock, logger: createLog().logger }),
  ).toThrow("/nowhere cannot be read (ENOENT)");
});

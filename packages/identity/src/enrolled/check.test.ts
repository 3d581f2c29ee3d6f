import { generateKeyPairSync, type X509Certificate } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { hour, makeAuthority } from "../../test/authority.js";
import type { Authority } from "../authority.js";
import { signCertificate } from "../certificate.js";
import type { SpiffeId } from "../spiffe.js";
import { checkAnswer } from "./check.js";

const id: SpiffeId = { trustDomain: "shop.example", namespace: "default", appId: "shop" };
const { privateKey: key, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
const now = Date.now();
let authority: Authority;
beforeEach(() => {
  authority = makeAuthority().load();
});
const issue = (changed: Partial<SpiffeId> = {}, { by = authority, for: forKey = publicKey, at = now } = {}) =>
  by.issue({ id: { ...id, ...changed }, publicKey: forKey, notBefore: at, notAfter: at + 24 * hour });

const check = (
  certificates: readonly X509Certificate[],
  authorities: readonly X509Certificate[] = [authority.certificate],
) =>
  checkAnswer(
    { certificates: certificates.map(({ raw }) => raw), authorities: authorities.map(({ raw }) => raw) },
    { id, key, publicKey, tokenId: "1", now },
  );

test("what was asked for is taken, with all authorities", () => {
  const next = makeAuthority().load().certificate;
  const { certificates, authorities } = check([issue()], [authority.certificate, next]);
  expect(certificates[0].publicKey.equals(publicKey)).toBe(true);
  expect(authorities.map(({ fingerprint256 }) => fingerprint256)).toEqual([
    authority.certificate.fingerprint256,
    next.fingerprint256,
  ]);
});

test("a certificate for another key, app, namespace or trust domain is not taken", () => {
  expect(() => check([issue({}, { for: other.publicKey })])).toThrow(
    "a certificate for another key; nothing of it is used",
  );
  for (const changed of [{ appId: "orders" }, { namespace: "test" }, { trustDomain: "evil.example" }]) {
    expect(() => check([issue(changed)])).toThrow(
      /a certificate of spiffe:\/\/.*, not of spiffe:\/\/shop\.example\/ns\/default\/app\/shop/,
    );
  }
});

test("a certificate that is expired, an authority's, or of nobody who is trusted is not taken", () => {
  expect(() => check([issue({}, { at: now - 24 * hour })])).toThrow(/expired on .*: is the clock of either host wrong/);
  const stranger = makeAuthority().load();
  expect(() => check([issue({}, { by: stranger })])).toThrow("none of its authorities vouches for");
  expect(() => check([issue()], [])).toThrow("none of its authorities vouches for");
  const asAuthority = signCertificate(
    {
      commonName: "x",
      uri: "spiffe://shop.example/ns/default/app/shop",
      publicKey,
      notBefore: now - hour,
      notAfter: now + hour,
      isAuthority: true,
    },
    { commonName: "x", key },
  );
  expect(() => check([asAuthority])).toThrow(/a certificate of/);
});

test("authorities that are none, or of another trust domain, are not trusted", () => {
  const foreign = makeAuthority({ trustDomain: "corp.example" }).load().certificate;
  expect(() => check([issue()], [authority.certificate, foreign])).toThrow('not one of trust domain "shop.example"');
  expect(() => check([issue()], [authority.certificate, issue()])).toThrow("an authority that is not one");
});

test("too much, too little, and what is no certificate are refused", () => {
  expect(() => check([])).toThrow("no certificate");
  expect(() => check(Array.from({ length: 5 }, () => issue()))).toThrow("5 certificates; at most 4 are read");
  expect(() =>
    check(
      [issue()],
      Array.from({ length: 9 }, () => authority.certificate),
    ),
  ).toThrow("9 authorities");
  const junk = { certificates: [new Uint8Array([1, 2, 3])], authorities: [] };
  expect(() => checkAnswer(junk, { id, key, publicKey, tokenId: "1", now })).toThrow(
    "a certificate that cannot be read",
  );
});

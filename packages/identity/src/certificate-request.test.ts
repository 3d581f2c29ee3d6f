import { generateKeyPairSync, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { createCertificateRequest, readCertificateRequest } from "./certificate-request.js";
import { IdentityError } from "./identity.js";

const uri = "spiffe://shop.example/ns/default/app/shop";
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ours = createCertificateRequest(privateKey, { commonName: "shop", uri });

// Made with OpenSSL 3.0: `openssl req -new -key k.pem -subj /CN=shop [-addext subjectAltName=URI:…] -outform DER`.
const openssl = {
  withUri:
    "MIIBETCBuAIBADAPMQ0wCwYDVQQDDARzaG9wMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENnMsHYTaVzYue1x5n8Z14B74B2fM1IOLeRpSRgrMOHMALp2B/Uy/5/CCwyQevv6IdEM0IK7M1NDsy6NglmP5NaBHMEUGCSqGSIb3DQEJDjE4MDYwNAYDVR0RBC0wK4Ypc3BpZmZlOi8vc2hvcC5leGFtcGxlL25zL2RlZmF1bHQvYXBwL3Nob3AwCgYIKoZIzj0EAwIDSAAwRQIhAKpZhlXozhZindjfN1jjkIXXWpavPnuLhMgPROiqbafmAiBJrC470kSs3AnmIGnlKqwbymNQHntwSdaOm+SW814l4A==",
  plain:
    "MIHKMHECAQAwDzENMAsGA1UEAwwEc2hvcDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDZzLB2E2lc2LntceZ/GdeAe+AdnzNSDi3kaUkYKzDhzAC6dgf1Mv+fwgsMkHr7+iHRDNCCuzNTQ7MujYJZj+TWgADAKBggqhkjOPQQDAgNJADBGAiEAsvzm1/ImSwxyt6HPvluARUphC9sDJgJr3cuaMI2Q1QECIQCO6yA/9OFDL93gJ0ehbxgMj50kLMdZ7Du7V8CNX3jj8Q==",
  p384: "MIIBCDCBjgIBADAPMQ0wCwYDVQQDDARzaG9wMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAER33VFIkY1c1wOg5mTS2PSPNqy0bP6+nYfbciuvoJV+eYVTQZgnZbCBPH99PLr3qFU84BXWf8hVDwYMZoWenKZ5wsAV5nhmi9SYnVqT/zcMfRq3ppHia7tAiZLu9QUcOBoAAwCgYIKoZIzj0EAwIDaQAwZgIxAIUu00EtWwLyev83wX/Fmapa5Isn36WSlF+wl2/A5oFnoppedW5akYcp4NF6cLI2UgIxANzAHm06nbRoPbxcYttqlucmodqWX9oVndZ3Jm2jqqwq+67wHvKplkzjQ0jhfyBF9w==",
};
const fromOpenssl = (name: keyof typeof openssl) => readCertificateRequest(Buffer.from(openssl[name], "base64"));

test("a request is read as it was made, by us and by OpenSSL", () => {
  expect(readCertificateRequest(ours).uris).toEqual([uri]);
  expect(readCertificateRequest(ours).publicKey.equals(publicKey)).toBe(true);
  expect(fromOpenssl("withUri").uris).toEqual([uri]);
  expect(fromOpenssl("plain").uris).toEqual([]);
});

test("a request for a key that its sender does not have is refused", () => {
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
  const spki = (key: typeof publicKey) => key.export({ type: "spki", format: "der" }).toString("hex");
  const stolen = Buffer.from(Buffer.from(ours).toString("hex").replace(spki(publicKey), spki(other)), "hex");
  expect(() => readCertificateRequest(stolen)).toThrow("not signed with the key that it is for");
});

test("another kind of key is refused", () => {
  expect(() => fromOpenssl("p384")).toThrow(/another kind of key than an EC key of curve P-256/);
});

test("whatever is sent, it is read or refused", () => {
  const begin = performance.now();
  const nested = Buffer.alloc(4096);
  for (let at = 0; at + 4 < nested.length; at += 4) nested.set([0x30, 0x82, (4092 - at) >> 8, (4092 - at) & 0xff], at);
  const mutants = Array.from({ length: 2_000 }, (_, index) => {
    const mutant = Buffer.from(ours);
    const [where = 0, what = 0] = [randomBytes(2).readUInt16BE() % mutant.length, randomBytes(1)[0]];
    mutant[where] = what;
    return index % 3 === 0 ? mutant.subarray(0, where) : mutant;
  });
  for (const bytes of [nested, Buffer.alloc(4096, 0x30), randomBytes(4096), ...mutants]) {
    try {
      expect(readCertificateRequest(bytes).publicKey.equals(publicKey)).toBe(true);
    } catch (error) {
      expect(error).toBeInstanceOf(IdentityError);
    }
  }
  expect(performance.now() - begin).toBeLessThan(20_000);
});

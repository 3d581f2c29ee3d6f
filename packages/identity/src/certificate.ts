// X.509 certificates as SPIFFE has them, encoded by @peculiar/asn1-x509 (its sibling @peculiar/x509 needs a global polyfill, and a runtime that is
// embedded touches nothing global) and signed by Node.
import { createHash, createPublicKey, type KeyObject, randomBytes, sign, X509Certificate } from "node:crypto";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";

/** What a certificate says. */
export interface CertificateContent {
  /** For people who look at it; nothing is decided by it. */
  readonly commonName: string;
  /** The SPIFFE id, or `spiffe://<trust domain>` for an authority. */
  readonly uri: string;
  /** A host name that it is for as well. Default: none; runtimes move. */
  readonly dnsName?: string;
  readonly publicKey: KeyObject;
  /** Ms since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Whether it is an authority, which signs the certificates of runtimes and no further authorities. */
  readonly isAuthority: boolean;
}

/** Who signs. */
export interface Issuer {
  readonly commonName: string;
  /** An EC key of curve P-256. */
  readonly key: KeyObject;
}

export const ecdsaWithSha256 = "1.2.840.10045.4.3.2";
const commonNameAttribute = "2.5.4.3";

/** Signs a certificate. */
export function signCertificate(content: CertificateContent, issuer: Issuer): X509Certificate {
  const algorithm = new AlgorithmIdentifier({ algorithm: ecdsaWithSha256 });
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: createSerialNumber(),
    signature: algorithm,
    issuer: toName(issuer.commonName),
    validity: new Validity({ notBefore: new Date(content.notBefore), notAfter: new Date(content.notAfter) }),
    subject: toName(content.commonName),
    subjectPublicKeyInfo: AsnConvert.parse(spkiOf(content.publicKey), SubjectPublicKeyInfo),
    extensions: createExtensions(content, issuer),
  });
  const signature = sign("sha256", Buffer.from(AsnConvert.serialize(tbsCertificate)), issuer.key);
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: toArrayBuffer(signature),
  });
  return new X509Certificate(Buffer.from(AsnConvert.serialize(certificate)));
}

/** https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#4-constraints-and-usage */
function createExtensions(content: CertificateContent, issuer: Issuer): Extensions {
  const { uri, dnsName, publicKey, isAuthority } = content;
  const usage = isAuthority ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign : KeyUsageFlags.digitalSignature;
  const constraints = isAuthority ? { cA: true, pathLenConstraint: 0 } : { cA: false };
  const names = new SubjectAlternativeName([
    ...(dnsName === undefined ? [] : [new GeneralName({ dNSName: dnsName })]),
    new GeneralName({ uniformResourceIdentifier: uri }),
  ]);
  const issuerKey = new KeyIdentifier(keyIdentifierOf(createPublicKey(issuer.key)));
  const common = [
    toExtension(id_ce_basicConstraints, true, new BasicConstraints(constraints)),
    toExtension(id_ce_keyUsage, true, new KeyUsage(usage)),
    toExtension(id_ce_subjectAltName, false, names),
    toExtension(id_ce_subjectKeyIdentifier, false, new SubjectKeyIdentifier(keyIdentifierOf(publicKey))),
    toExtension(id_ce_authorityKeyIdentifier, false, new AuthorityKeyIdentifier({ keyIdentifier: issuerKey })),
  ];
  // A runtime is a server to some and a client to others; an authority is neither.
  const purposes = new ExtendedKeyUsage([id_kp_serverAuth, id_kp_clientAuth]);
  return new Extensions(isAuthority ? common : [...common, toExtension(id_ce_extKeyUsage, false, purposes)]);
}

export function toExtension(extnID: string, critical: boolean, value: object): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

export function toName(commonName: string): Name {
  const value = new AttributeValue({ utf8String: commonName });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: commonNameAttribute, value })])]);
}

/** Positive, and never the same twice: 127 random bits (RFC 5280, section 4.1.2.2). */
function createSerialNumber(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return toArrayBuffer(bytes);
}

export const spkiOf = (key: KeyObject) => key.export({ type: "spki", format: "der" });

function keyIdentifierOf(key: KeyObject): ArrayBuffer {
  return toArrayBuffer(createHash("sha256").update(spkiOf(key)).digest().subarray(0, 20));
}

/** The bytes alone: a Buffer may be a part of a larger ArrayBuffer. */
export function toArrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

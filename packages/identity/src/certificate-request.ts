// PKCS#10 certificate requests (RFC 2986): a public key, and the proof that whoever asks has the private one.
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { Attributes, CertificationRequest, CertificationRequestInfo } from "@peculiar/asn1-csr";
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  Attribute,
  Extensions,
  GeneralName,
  id_ce_subjectAltName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
} from "@peculiar/asn1-x509";
import { ecdsaWithSha256, spkiOf, toArrayBuffer, toExtension, toName } from "./certificate.js";
import { IdentityError } from "./identity.js";

/** The largest request that is read, in bytes. One of ours has 350. */
export const maxCertificateRequestBytes = 4096;

/** The attribute with the extensions that the certificate is to have. */
const extensionRequest = "1.2.840.113549.1.9.14";

/** Asks for a certificate, in DER. */
export function createCertificateRequest(key: KeyObject, { commonName, uri }: { commonName: string; uri: string }) {
  const names = new SubjectAlternativeName([new GeneralName({ uniformResourceIdentifier: uri })]);
  const extensions = new Extensions([toExtension(id_ce_subjectAltName, false, names)]);
  const certificationRequestInfo = new CertificationRequestInfo({
    subject: toName(commonName),
    subjectPKInfo: AsnConvert.parse(spkiOf(createPublicKey(key)), SubjectPublicKeyInfo),
    attributes: new Attributes([new Attribute({ type: extensionRequest, values: [AsnConvert.serialize(extensions)] })]),
  });
  const signature = sign("sha256", Buffer.from(AsnConvert.serialize(certificationRequestInfo)), key);
  const request = new CertificationRequest({
    certificationRequestInfo,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm: ecdsaWithSha256 }),
    signature: toArrayBuffer(signature),
  });
  return new Uint8Array(AsnConvert.serialize(request));
}

/** What a request asks for, its signature verified. */
export interface CertificateRequest {
  readonly publicKey: KeyObject;
  /** The URIs that it wants to be certified for. */
  readonly uris: readonly string[];
}

/** Reads a request and verifies that it is signed with the key that it names; throws an IdentityError that says what is wrong. */
export function readCertificateRequest(der: Uint8Array): CertificateRequest {
  if (der.length === 0) throw new IdentityError("there is no certificate request");
  if (der.length > maxCertificateRequestBytes) {
    throw new IdentityError(
      `the certificate request has ${der.length} bytes; at most ${maxCertificateRequestBytes} are read`,
    );
  }
  let request: CertificationRequest;
  let publicKey: KeyObject;
  let uris: string[];
  try {
    request = AsnConvert.parse(toArrayBuffer(der), CertificationRequest);
    const spki = Buffer.from(AsnConvert.serialize(request.certificationRequestInfo.subjectPKInfo));
    publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
    uris = urisOf(request.certificationRequestInfo.attributes ?? []);
  } catch (cause) {
    throw new IdentityError("the certificate request cannot be read: it is to be PKCS#10 in DER", { cause });
  }
  const { certificationRequestInfoRaw: signed, signature, signatureAlgorithm } = request;
  const isP256 = publicKey.asymmetricKeyDetails?.namedCurve === "prime256v1";
  if (!isP256 || signatureAlgorithm.algorithm !== ecdsaWithSha256) {
    throw new IdentityError(
      "the certificate request has another kind of key than an EC key of curve P-256 that signs with ecdsa-with-SHA256",
    );
  }
  if (signed === undefined || !verify("sha256", Buffer.from(signed), publicKey, Buffer.from(signature))) {
    throw new IdentityError("the certificate request is not signed with the key that it is for");
  }
  return { publicKey, uris };
}

function urisOf(attributes: readonly Attribute[]): string[] {
  return attributes
    .filter(({ type }) => type === extensionRequest)
    .flatMap(({ values }) => values)
    .flatMap((value) => [...AsnConvert.parse(value, Extensions)])
    .filter(({ extnID }) => extnID === id_ce_subjectAltName)
    .flatMap(({ extnValue }) => [...AsnConvert.parse(extnValue.buffer, SubjectAlternativeName)])
    .flatMap(({ uniformResourceIdentifier: uri }) => uri ?? []);
}

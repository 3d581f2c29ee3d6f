import { createHmac, timingSafeEqual } from "node:crypto";
import type { WebhookConfig } from "./config.js";

/** A request as it came. */
export interface SignedRequest {
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a signature says, if it is right. */
export type Verification =
  | {
      readonly ok: true;
      readonly id: string | undefined /** The same for the same request only. */;
      readonly signature: string;
    }
  | { readonly ok: false; readonly reason: string };

type Verify = (request: SignedRequest, now: number) => Verification;

/** What is signed, and with what. */
interface Claim {
  /** What stands before the body. */
  readonly prefix: string;
  /** Any of them may be right: senders sign with two keys while one is changed. */
  readonly signatures: readonly Buffer[];
  readonly id: string | undefined;
}

/** Makes the check of one scheme. It takes the same time whatever differs. */
export function createVerifier(config: WebhookConfig): Verify {
  const { scheme, toleranceMs } = config;
  const keys = config.secrets.map((secret) =>
    scheme === "standard-webhooks" ? standardKey(secret) : Buffer.from(secret),
  );
  const read = { hmac: readPlain, stripe: readStripe, "standard-webhooks": readStandard }[scheme];

  return (request, now) => {
    const claim = read(request.headers, config);
    if (typeof claim === "string") return { ok: false, reason: claim };
    const { prefix, signatures, id, timestamp } = claim;
    let right: Buffer | undefined;
    for (const key of keys) {
      const expected = createHmac("sha256", key).update(prefix).update(request.body).digest();
      // All are compared, whichever is right.
      for (const signature of signatures) if (isSame(expected, signature)) right = expected;
    }
    if (right === undefined) return { ok: false, reason: "the signature is not right" };
    // Only now: of a time that nobody signed nothing is said.
    if (timestamp !== undefined && Math.abs(now - timestamp) > toleranceMs) {
      return { ok: false, reason: "the timestamp is too old, or ahead; is a clock wrong?" };
    }
    return { ok: true, id, signature: right.toString("base64") };
  };
}

type Reader = (
  headers: Readonly<Record<string, string>>,
  config: WebhookConfig,
) => (Claim & { readonly timestamp: number | undefined }) | string;

const readPlain: Reader = (headers, { header = "x-hub-signature-256", prefix, encoding, idHeader }) => {
  const value = headers[header];
  if (value === undefined) return `header ${header} is missing`;
  if (!value.startsWith(prefix)) return `header ${header} does not begin with "${prefix}"`;
  const signature = Buffer.from(value.slice(prefix.length), encoding);
  const id = idHeader === undefined ? undefined : headers[idHeader];
  return { prefix: "", signatures: [signature], id, timestamp: undefined };
};

/** https://docs.stripe.com/webhooks#verify-manually */
const readStripe: Reader = (headers, { header = "stripe-signature" }) => {
  const value = headers[header];
  if (value === undefined) return `header ${header} is missing`;
  const parts = value.split(",").map((part) => part.trim().split("=", 2));
  const time = parts.find(([name]) => name === "t")?.[1] ?? "";
  const signatures = parts.flatMap(([name, text = ""]) => (name === "v1" ? [Buffer.from(text, "hex")] : []));
  if (!/^\d{1,12}$/.test(time) || signatures.length === 0) return `header ${header} is not t=…,v1=…`;
  return {
    prefix: `${time}.`,
    signatures: signatures.slice(0, maxSignatures),
    id: undefined,
    timestamp: Number(time) * 1000,
  };
};

/** https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md */
const readStandard: Reader = (headers) => {
  const [id, time, value] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => headers[name]);
  if (id === undefined || time === undefined || value === undefined) {
    return "headers webhook-id, webhook-timestamp and webhook-signature are needed";
  }
  const signatures = value
    .split(" ")
    .flatMap((part) => (part.startsWith("v1,") ? [Buffer.from(part.slice(3), "base64")] : []));
  if (!/^\d{1,12}$/.test(time) || signatures.length === 0)
    return "headers webhook-timestamp and webhook-signature are malformed";
  return {
    prefix: `${id}.${time}.`,
    signatures: signatures.slice(0, maxSignatures),
    id,
    timestamp: Number(time) * 1000,
  };
};

/** Signatures of one request that are compared. */
const maxSignatures = 10;

/** A secret of the standard is base64, with "whsec_" before it. */
const standardKey = (secret: string) => Buffer.from(secret.replace(/^whsec_/, ""), "base64");

function isSame(expected: Buffer, given: Buffer): boolean {
  // Compared with itself when the lengths differ, so that a wrong length takes no less time.
  const sameLength = given.byteLength === expected.byteLength;
  return timingSafeEqual(expected, sameLength ? given : expected) && sameLength;
}

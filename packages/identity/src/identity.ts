import { X509Certificate } from "node:crypto";
import { type SpiffeId, uriOf } from "./spiffe.js";

/** What proves who this runtime is, for a while. */
export interface Credentials {
  readonly id: SpiffeId;
  /** When the certificate expires, ms since the epoch. */
  readonly expireTime: number;
  /** For TLS. A function, so that nothing that prints credentials prints the private key. */
  secrets(): { readonly key: string; readonly cert: string; readonly ca: string };
}

/** What is kept valid: renewed in time, or read again when its files change. */
export interface Renewed<Value> {
  readonly current: Value;
  /** Calls back with each new `current`; the function that is returned ends it. */
  onChange(listener: (value: Value) => void): () => void;
  close(): void;
}

/** Who this runtime is, kept valid. */
export type Identity = Renewed<Credentials>;

/** Where an identity logs: a part of pino's. */
export interface IdentityLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** An error in the identity's configuration or files; its message says what to do, and names no secret. */
export class IdentityError extends Error {
  override readonly name = "IdentityError";
}

/** Listeners of what is {@link Renewed}. */
export function createListeners<Value>(): Pick<Renewed<Value>, "onChange"> & { tell(value: Value): void } {
  const listeners = new Set<(value: Value) => void>();
  return {
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    tell(value) {
      for (const listener of listeners) listener(value);
    },
  };
}

/** The trust domain that an authority's certificate names: `spiffe://mecha.internal`. */
export function trustDomainOf(authority: X509Certificate): string | undefined {
  return /^spiffe:\/\/([a-z0-9._-]{1,255})$/.exec(uriOf(authority) ?? "")?.[1];
}

/** Every certificate of a PEM file, in its order. */
export function parseCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

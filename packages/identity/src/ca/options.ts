import type { Clock } from "@mecha/component";
import type { IdentityLogger } from "../identity.js";

/** Options of {@link serveAuthority}. */
export interface ServeAuthorityOptions {
  /** The authority's folder, as `createAuthority` made it. */
  readonly folder: string;
  /** The address to bind. Default `127.0.0.1`: other hosts reach it only when asked to. */
  readonly host?: string;
  /** The TCP port; 0 is any free one. Default 3602. */
  readonly port?: number;
  readonly clock: Clock;
  readonly logger: IdentityLogger;
}

/** An authority that listens. */
export interface AuthorityServer extends AsyncDisposable {
  /** Where: `host:port`. */
  readonly endpoint: string;
  readonly trustDomain: string;
  /** The SHA-256 of its certificate, in base64url, as tokens have it. */
  readonly fingerprint: string;
  /** Takes no more calls and ends; those in flight have 5 s. */
  close(): Promise<void>;
}

/**
 * Serves the authority of a folder to the runtimes of other hosts (`mecha.ca.v1`), over TLS 1.3. Tokens that are made meanwhile are good at once,
 * and a changed `trusted.crt` is read within a minute. Rejects with an IdentityError where there is no good authority in the folder.
 */
export async function serveAuthority(options: ServeAuthorityOptions): Promise<AuthorityServer> {
  // Only the process that is the authority pays for a server.
  const { listenAsAuthority } = await import("./serve.js");
  return listenAsAuthority(options);
}

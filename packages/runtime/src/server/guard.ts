import { timingSafeEqual } from "node:crypto";
import type { ConnectError } from "@connectrpc/connect";
import { ComponentError } from "@mecha/component";
import type { ListenOptions, RequestHead } from "@mecha/rpc";
import { appHeader, isForApp } from "../mesh/headers.js";
import { fromComponentError } from "../telemetry/errors.js";

/** Options of {@link createGuard}. */
export interface GuardOptions {
  readonly listen: ListenOptions;
  readonly token: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
}

/** Paths that answer without a token: for load balancers, orchestrators and scrapers. */
const open = /^\/(healthz|readyz|metrics|grpc\.health\.v1\.Health\/[A-Za-z]+)(\?|$)/;

/** Bindings' plain HTTP: its senders are elsewhere, call it by names of their own, and are told apart by what they sign. */
const endpoint = /^\/webhook\//;

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const ipLiteral = /^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/i;

/**
 * Decides who may call, before anything of a body is read. A web page must not reach a runtime on its visitor's machine: not under a name of
 * its own that it points there (`Host`, against DNS rebinding), nor across origins (`Origin`, `Sec-Fetch-Site`). Then the token.
 */
export function createGuard({
  listen,
  token,
  allowedHosts,
  allowedOrigins,
}: GuardOptions): (head: RequestHead) => ConnectError | undefined {
  const isUnixSocket = "path" in listen;
  const address = isUnixSocket ? undefined : (listen.host ?? "127.0.0.1");
  const isWildcard = address === "0.0.0.0" || address === "::";
  const hosts = new Set([...allowedHosts, address ?? "", `[${address}]`].map((host) => host.toLowerCase()));
  const expected = token === undefined ? undefined : Buffer.from(token);

  /** Callers mostly say the same one. */
  let knownHost: string | undefined;
  const knowsHost = (host: string): boolean => {
    if (host === knownHost) return true;
    const name = host.replace(/:\d+$/, "").toLowerCase();
    // No name, no rebinding: on every address of the machine, an address is as good as its name.
    const isKnown = loopback.test(name) || hosts.has(name) || (isWildcard && ipLiteral.test(name));
    if (isKnown) knownHost = host;
    return isKnown;
  };

  return (head) => {
    // What goes to another app is that app's, whatever its path looks like.
    const isOwn = !isForApp(head.url, head.header(appHeader) !== undefined);
    if (isOwn && endpoint.test(head.url)) return undefined;
    // A browser cannot reach a Unix socket, and callers put anything into its Host.
    if (!isUnixSocket) {
      const host = head.header("host");
      if (host !== undefined && !knowsHost(host)) {
        const message = `host "${host}" is not this runtime's; if callers shall use it, add it to allowedHosts`;
        return fromComponentError(new ComponentError("FOREIGN_ORIGIN", message, { metadata: { host } }));
      }
      const origin = head.header("origin");
      const site = head.header("sec-fetch-site");
      const isAllowed = origin !== undefined && allowedOrigins.includes(origin);
      if (!isAllowed && (isForeign(origin, host) || site === "cross-site" || site === "same-site")) {
        const message = `web pages of ${origin ?? "other sites"} may not call this runtime; call it from the app's server, or add the origin to allowedOrigins`;
        return fromComponentError(
          new ComponentError("FOREIGN_ORIGIN", message, { metadata: { origin: origin ?? "" } }),
        );
      }
    }
    if (expected === undefined || (isOwn && open.test(head.url)) || isSame(expected, tokenOf(head))) return undefined;
    const what =
      head.header("authorization") === undefined ? "this runtime asks for a token" : "the token is not this runtime's";
    return fromComponentError(new ComponentError("BAD_TOKEN", `${what}; send authorization: Bearer <MECHA_API_TOKEN>`));
  };
}

/**
 * The token of `mecha-token: <token>`, which leaves `authorization` to a call that goes on to another app, else of `authorization: Bearer <token>`;
 * the scheme's case does not count (RFC 9110, section 11.1).
 */
function tokenOf(head: RequestHead): string | undefined {
  const own = head.header("mecha-token");
  if (own !== undefined) return own;
  const authorization = head.header("authorization");
  return authorization !== undefined && /^bearer /i.test(authorization) ? authorization.slice(7) : undefined;
}

/** A page that this very listener served may call it; nothing else with an origin may. */
function isForeign(origin: string | undefined, host: string | undefined): boolean {
  return origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`;
}

/** Takes the same time whatever differs, and tells no more than the length. */
function isSame(expected: Buffer, given: string | undefined): boolean {
  const actual = Buffer.from(given ?? "");
  // Compared with itself when the lengths differ, so that a wrong length takes no less time.
  const sameLength = actual.byteLength === expected.byteLength;
  return timingSafeEqual(expected, sameLength ? actual : expected) && sameLength;
}

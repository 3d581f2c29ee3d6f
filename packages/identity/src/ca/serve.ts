import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { ServerResponse } from "node:http";
import * as http2 from "node:http2";
import type * as net from "node:net";
import { TLSSocket } from "node:tls";
import { createContextValues } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { CertificateAuthorityService } from "@mecha/api/ca";
import type { Clock } from "@mecha/component";
import { type Authority, loadAuthority } from "../authority.js";
import { defaultAuthorityPort, fingerprintOf } from "../authority-id.js";
import type { IdentityLogger } from "../identity.js";
import { certificateLifetimeMs, isRenewalDue } from "../issued.js";
import { tlsSettings } from "../verify.js";
import type { AuthorityServer, ServeAuthorityOptions } from "./options.js";
import { createRefusals } from "./refusals.js";
import { createService, hideInternalErrors, type Peer, peerKey } from "./service.js";
import { sweepTokens } from "./tokens.js";

/** How often the folder and the time are looked at: a timer for half a day would sleep through the sleep of a host. */
const checkIntervalMs = 60_000;
/** A call takes milliseconds: who takes longer than this holds a connection for nothing. */
const connectionLifetimeMs = 30_000;
const handshakeTimeoutMs = 10_000;
const maxConnections = 1_000;
const maxMessageBytes = 16 * 1024;
/** How long calls in flight may take to end when it closes, in ms. */
const drainTimeoutMs = 5_000;

/** Serves the authority of a folder: see `serveAuthority`. */
export async function listenAsAuthority(options: ServeAuthorityOptions & { readonly clock: Clock }) {
  const { folder, host = "127.0.0.1", port = defaultAuthorityPort, clock, logger } = options;
  const own = createOwnCertificate(folder, clock, logger);
  const service = createService({
    folder,
    authority: () => own.authority,
    refusals: createRefusals(clock),
    clock,
    logger,
  });
  const handle = connectNodeAdapter({
    routes: (router) => router.service(CertificateAuthorityService, service),
    interceptors: [hideInternalErrors(logger)],
    readMaxBytes: maxMessageBytes,
    contextValues: ({ socket }) => createContextValues().set(peerKey, toPeer(socket)),
  });
  const calls = createCounter();
  const server = http2.createSecureServer(
    {
      ...own.tls(),
      allowHTTP1: true,
      handshakeTimeout: handshakeTimeoutMs,
      settings: { maxConcurrentStreams: 16, enablePush: false },
      maxSessionMemory: 1,
    },
    (request, response) => {
      response.once("close", calls.begin());
      // Nobody calls twice in a while, and a connection that ends while a client begins a call on it would cost that client its token.
      if (response instanceof ServerResponse) response.shouldKeepAlive = false;
      handle(request, response);
    },
  );
  const sockets = new Set<net.Socket>();
  server.maxConnections = maxConnections;
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    const cancel = clock.after(connectionLifetimeMs, () => socket.destroy());
    socket.once("close", () => {
      cancel();
      sockets.delete(socket);
    });
  });
  server.on("session", (session) => {
    const cancel = clock.after(connectionLifetimeMs / 2, () => session.close());
    session.once("close", cancel);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("sessionError", () => {}); // Told to each of its streams.
  own.onChange(() => server.setSecureContext(own.tls()));

  let cancelTimer = () => {};
  const check = () => {
    cancelTimer = clock.after(checkIntervalMs, check);
    own.check();
    try {
      sweepTokens(folder, clock.now());
    } catch (err) {
      logger.error({ err }, "cannot remove expired tokens; they stay expired");
    }
  };
  const endpoint = await listen(server, host, port);
  check();
  const fingerprint = fingerprintOf(own.authority.certificate);
  logger.info({ endpoint, trustDomain: own.authority.trustDomain, fingerprint }, "the authority listens");

  const close = async () => {
    cancelTimer();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await Promise.race([calls.none(), after(drainTimeoutMs)]);
    for (const socket of sockets) socket.destroySoon();
    await Promise.race([closed, after(drainTimeoutMs)]);
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  let closing: Promise<void> | undefined;
  const closeOnce = () => (closing ??= close());
  return {
    endpoint,
    trustDomain: own.authority.trustDomain,
    fingerprint,
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  } satisfies AuthorityServer;
}

/** The certificate that the authority's server presents, issued by itself, and the authority as it is in the folder. */
function createOwnCertificate(folder: string, clock: Clock, logger: IdentityLogger) {
  let authority = loadAuthority(folder, clock.now());
  let { key, cert, issueTime } = certifyItself(authority, clock.now());
  let listener = () => {};
  const textOf = ({ authorities }: Authority) => authorities.join("");
  return {
    get authority() {
      return authority;
    },
    // Clients without a certificate are let in: Enroll is for them. What a certificate is worth each call finds out.
    tls: () => ({
      ...tlsSettings,
      key,
      // The authority's certificate goes along: who joins finds by its fingerprint the one to trust.
      cert: `${cert}${authority.certificate}`,
      ca: textOf(authority),
      requestCert: true,
      rejectUnauthorized: false,
    }),
    onChange(callback: () => void) {
      listener = callback;
    },
    /** Reads the folder again, and renews the certificate when that is due. */
    check() {
      try {
        const found = loadAuthority(folder, clock.now());
        const isSame = textOf(found) === textOf(authority);
        if (isSame && !isRenewalDue(issueTime, clock.now())) return;
        authority = found;
        ({ key, cert, issueTime } = certifyItself(authority, clock.now()));
        listener();
        if (!isSame) logger.info({ authorities: authority.authorities.length }, "the trusted authorities have changed");
      } catch (err) {
        logger.error({ err }, "cannot read the authority; what was read before stays in use");
      }
    },
  };
}

function certifyItself(authority: Authority, now: number) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const notAfter = now + certificateLifetimeMs;
  const cert = authority.issueForItself({ publicKey, notBefore: now, notAfter }).toString();
  return { key: toPem(privateKey), cert, issueTime: now };
}

const toPem = (key: KeyObject) => key.export({ type: "pkcs8", format: "pem" }).toString();

/** Over HTTP/2 the socket is Node's stand-in for it, which answers the same questions. */
function toPeer(socket: net.Socket): Peer {
  const { remoteAddress: address } = socket;
  const isTls = socket instanceof TLSSocket || "getPeerX509Certificate" in socket;
  if (!isTls) return { address, certificate: undefined };
  const { authorized, getPeerX509Certificate } = socket as TLSSocket;
  return { address, certificate: authorized ? getPeerX509Certificate.call(socket) : undefined };
}

function createCounter() {
  let running = 0;
  let waiting: (() => void)[] = [];
  return {
    begin() {
      running++;
      return () => {
        running--;
        if (running > 0) return;
        for (const resolve of waiting) resolve();
        waiting = [];
      };
    },
    none: () => (running === 0 ? Promise.resolve() : new Promise<void>((resolve) => waiting.push(resolve))),
  };
}

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms).unref());

async function listen(server: http2.Http2SecureServer, host: string, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP listener has no port");
  return `${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}

import * as http2 from "node:http2";
import type * as net from "node:net";
import * as tls from "node:tls";
import { type Clock, ComponentError } from "@mecha/component";
import { type Credentials, type Identity, mutualTls, verifyPeer } from "@mecha/identity";
import type { AppHealth } from "../app/health.js";
import type { Gate } from "../gate/gate.js";
import { limitBody, tooLarge } from "../gate/request.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { AppSender } from "./app-sender.js";
import type { Inbound } from "./exchange.js";
import { callerHeader, endToEnd, type HeaderMap, hopsHeader, tokenHeader } from "./headers.js";
import { fromStream } from "./inbound-stream.js";
import { normalizeTarget } from "./path.js";
import { appUnavailable, refuse } from "./refusal.js";
import { relay } from "./relay.js";

/** The mesh port: takes the calls of other runtimes, and passes them to the app. */
export interface Incoming {
  /** The port that it listens on. */
  readonly port: number;
  /** How many runtimes are connected. */
  readonly sessions: number;
  /** Takes no more calls; resolves when those in flight are over. */
  close(): Promise<void>;
  /** Ends what is still open. */
  destroy(): void;
}

export interface IncomingOptions {
  readonly host: string;
  readonly port: number;
  readonly identity: Identity;
  readonly app: AppSender;
  /** By which the app can tell its runtime's requests from others. */
  readonly appToken: string | undefined;
  readonly health: AppHealth;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

const handshakeTimeoutMs = 10_000;
const maxConnections = 10_000;
const maxStreamsPerConnection = 1_000;

/** Listens. Only runtimes of this trust domain and namespace get further than the handshake. */
export async function listenForPeers(options: IncomingOptions): Promise<Incoming> {
  const { host, port, identity, clock, logger } = options;
  const sessions = new Set<http2.ServerHttp2Session>();
  const sockets = new Set<net.Socket>();
  const settings = { ...tlsOptions(identity.current), handshakeTimeout: handshakeTimeoutMs };
  const server = tls.createServer(settings, (socket) => {
    const verdict = verifyPeer(socket.getPeerX509Certificate(), identity.current.id);
    if ("refusal" in verdict || socket.alpnProtocol !== "h2") {
      const why = "refusal" in verdict ? verdict.refusal : "it does not speak HTTP/2";
      logger.warn({ remoteAddress: socket.remoteAddress }, `refused a connection to the mesh port: ${why}`);
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const session = http2.performServerHandshake(socket, sessionOptions);
    session.on("error", () => {}); // Told to each of its streams; "close" follows.
    session.setLocalWindowSize(8 * 1024 * 1024);
    session.on("stream", (stream, headers) => void serve(options, verdict.id.appId, stream, headers));
    sessions.add(session);
    // A connection does not outlive the certificate that it was opened with: its calls end, and the next one comes on a new one.
    const cancelExpiry = clock.after(Math.max(0, verdict.expireTime - clock.now()), () => session.close());
    session.once("close", () => {
      sessions.delete(session);
      cancelExpiry();
    });
  });
  server.maxConnections = maxConnections;
  // For TLS too this is the TCP connection, which may never finish its handshake.
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // Without a certificate, or with one that is not vouched for or expired. OpenSSL does not say which.
  server.on("tlsClientError", (error, socket) => {
    logger.debug({ remoteAddress: socket.remoteAddress, error: error.message }, "a handshake on the mesh port failed");
    socket.destroy();
  });
  const stopListening = identity.onChange((credentials) => server.setSecureContext(tlsOptions(credentials)));
  const actual = await listen(server, host, port);
  const closed = new Promise<void>((resolve) => server.once("close", () => resolve()));
  return {
    port: actual,
    get sessions() {
      return sessions.size;
    },
    close() {
      stopListening();
      server.close();
      for (const session of sessions) session.close();
      for (const socket of sockets) if (sessions.size === 0) socket.destroy();
      return closed;
    },
    destroy() {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const sessionOptions: http2.SecureServerSessionOptions & http2.ServerSessionOptions = {
  settings: {
    enableConnectProtocol: true,
    enablePush: false,
    initialWindowSize: 1024 * 1024,
    maxConcurrentStreams: maxStreamsPerConnection,
    maxHeaderListSize: 64 * 1024,
  },
  maxSessionMemory: 64,
};

const tlsOptions = (credentials: Credentials): tls.TlsOptions => ({ ...mutualTls(credentials), ALPNProtocols: ["h2"] });

/** The port that was asked for, or any free one if somebody has it: where it is, others are told by discovery. */
async function listen(server: tls.Server, host: string, port: number): Promise<number> {
  const bind = (at: number) =>
    new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port: at }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  await bind(port).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error;
    return bind(0);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP listener has no port");
  return address.port;
}

/** Passes a call to the app, with who calls. */
async function serve(
  { identity, app, appToken, health, gate, logger }: IncomingOptions,
  caller: string,
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
): Promise<void> {
  let inbound = fromStream(stream, headers);
  let leave = () => {};
  const self = identity.current.id.appId;
  try {
    if (headers[":authority"] !== self) {
      const message = `this is the runtime of app "${self}", not of "${headers[":authority"]}"`;
      throw new ComponentError("APP_NOT_FOUND", message, { metadata: { app: self } });
    }
    // The other runtime has done the same; but what the app gets is ours to answer for.
    const target = normalizeTarget(inbound.target);
    const isWebSocket = headers[":method"] === "CONNECT" && headers[":protocol"] === "websocket";
    const { method, hasBody } = inbound;
    // What asks for a WebSocket is a GET to the app.
    const admitted = gate.admit({
      from: caller,
      method: isWebSocket ? "GET" : method,
      path: pathOf(target),
      headers,
      onGone: inbound.onGone,
    });
    const verdict = admitted instanceof Promise ? await admitted : admitted;
    if (verdict.answerHeaders !== undefined) inbound = answeringWith(inbound, verdict.answerHeaders);
    if (verdict.isPreflight === true) return void inbound.respond(204, {}, true);
    if (verdict.refusal !== undefined) throw verdict.refusal;
    leave = once(verdict.leave);
    const { expect: _, ...rest } = endToEnd(headers);
    const filtered = verdict.filter(rest);
    const proof =
      appToken === undefined
        ? {}
        : { [tokenHeader]: appToken, authorization: filtered.authorization ?? `Bearer ${appToken}` };
    const all = { ...filtered, ...proof, [callerHeader]: caller, [hopsHeader]: String(headers[hopsHeader] ?? 0) };
    const request = {
      method,
      target,
      headers: all,
      hasBody,
      awaitsContinue: isWebSocket || (hasBody && inbound.awaitsContinue),
    };
    const send = isWebSocket ? app.upgrade : await app.sender(String(headers["content-type"] ?? ""));
    const { maxBytes } = verdict;
    if (maxBytes !== undefined && hasBody) {
      const whole = inbound;
      inbound = limitBody(whole, maxBytes, () => {
        if (whole.responded) whole.breakOff();
        else refuse(whole, tooLarge(maxBytes), logger);
      });
    }
    const { attempt } = await relay(inbound, request, send, { over: leave });
    if (typeof attempt === "object") throw attempt.error;
  } catch (error) {
    leave();
    if (inbound.responded) return;
    if (isRefused(error)) health.suspect();
    const known = error instanceof ComponentError ? error : notAnswered(self, error);
    refuse(inbound, known, logger);
  }
}

function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (!done) act();
    done = true;
  };
}

/** A request whose answer, whatever it is, bears these headers too. */
function answeringWith(inbound: Inbound, headers: HeaderMap): Inbound {
  return Object.create(inbound, {
    respond: {
      value: (status: number, own: HeaderMap, ends: boolean) => inbound.respond(status, { ...own, ...headers }, ends),
    },
  }) as Inbound;
}

/** A target without its query. */
function pathOf(target: string): string {
  const end = target.indexOf("?");
  return end === -1 ? target : target.slice(0, end);
}

const isRefused = (error: unknown) => error instanceof Error && "code" in error && error.code === "ECONNREFUSED";

function notAnswered(app: string, error: unknown): ComponentError {
  const what = isRefused(error) ? "does not listen on its port" : "broke the call off before it answered";
  return appUnavailable(app, `app "${app}" ${what}`);
}

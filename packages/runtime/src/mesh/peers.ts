import * as http2 from "node:http2";
import * as tls from "node:tls";
import { checkServer, type Identity, mutualTls } from "@mecha/identity";

/** How long a connection to another runtime may take, handshake and all, in ms. */
const connectTimeoutMs = 3_000;
/** How long an instance that could not be reached is left for last, in ms. */
const avoidMs = 1_000;
/** How often a connection is asked whether the other side is still there, and how long that may take, in ms. */
const pingIntervalMs = 10_000;
const pingTimeoutMs = 5_000;
/** How long a connection without a call is kept, in ms. */
const idleMs = 5 * 60_000;

/** Connections to other runtimes: one to each instance, shared by all calls. */
export interface Peers {
  /** A connection to an instance of an app; at once where there is one. Rejects if it cannot be reached, or is not who it should be. */
  session(app: string, address: string): http2.ClientHttp2Session | Promise<http2.ClientHttp2Session>;
  /** Whether an instance could not be reached a moment ago. */
  isAvoided(app: string, address: string): boolean;
  /** Closes all connections once their calls are over. */
  close(): Promise<void>;
  /** Ends what is still open. */
  destroy(): void;
}

interface Peer {
  session: http2.ClientHttp2Session | undefined;
  connecting: Promise<http2.ClientHttp2Session> | undefined;
  avoidedUntil: number;
}

/** Makes the pool. A renewed identity makes new connections; the calls on the old ones end in their own time. */
export function createPeers(identity: Identity): Peers {
  const peers = new Map<string, Peer>();
  const sessions = new Set<http2.ClientHttp2Session>();
  /** Those that could not be reached when they were last tried: as a rule none, and then nothing is looked up. */
  const avoided = new Set<Peer>();
  const keyOf = (app: string, address: string) => `${app}@${address}`;
  let closed = false;

  const stopListening = identity.onChange(() => {
    for (const peer of peers.values()) {
      peer.session?.close();
      peer.session = undefined;
    }
  });

  /** Instances come and go: of one that is neither connected nor avoided nothing is kept. */
  const forget = (peer: Peer, app: string, address: string) => {
    const inUse = peer.session !== undefined || peer.connecting !== undefined || peer.avoidedUntil > performance.now();
    if (peer.avoidedUntil <= performance.now()) avoided.delete(peer);
    if (!inUse && peers.get(keyOf(app, address)) === peer) peers.delete(keyOf(app, address));
  };

  const connect = async (peer: Peer, app: string, address: string): Promise<http2.ClientHttp2Session> => {
    try {
      const session = await openSession(identity, app, address);
      if (closed) {
        session.destroy();
        throw new Error("the runtime is stopping");
      }
      sessions.add(session);
      session.once("close", () => {
        sessions.delete(session);
        if (peer.session === session) peer.session = undefined;
        forget(peer, app, address);
      });
      // It takes no new calls: the next one goes to a new connection, or elsewhere.
      session.once("goaway", () => {
        if (peer.session === session) peer.session = undefined;
      });
      watch(session);
      peer.session = session;
      peer.avoidedUntil = 0;
      avoided.delete(peer);
      return session;
    } catch (error) {
      peer.avoidedUntil = performance.now() + avoidMs;
      avoided.add(peer);
      setTimeout(() => forget(peer, app, address), avoidMs + 1).unref();
      throw error;
    } finally {
      peer.connecting = undefined;
    }
  };

  return {
    session(app, address) {
      const key = keyOf(app, address);
      let peer = peers.get(key);
      if (peer === undefined) {
        peer = { session: undefined, connecting: undefined, avoidedUntil: 0 };
        peers.set(key, peer);
      }
      if (peer.session !== undefined && !peer.session.closed && !peer.session.destroyed) return peer.session;
      peer.connecting ??= connect(peer, app, address);
      return peer.connecting;
    },
    isAvoided: (app, address) =>
      avoided.size > 0 && (peers.get(keyOf(app, address))?.avoidedUntil ?? 0) > performance.now(),
    async close() {
      closed = true;
      stopListening();
      const ended = [...sessions].map(
        (session) => new Promise<void>((resolve) => session.once("close", () => resolve())),
      );
      for (const session of sessions) session.close();
      await Promise.all(ended);
    },
    destroy() {
      closed = true;
      for (const session of sessions) session.destroy();
    },
  };
}

/** Connects, with both sides proving who they are. Nothing is sent before the other side has. */
async function openSession(identity: Identity, app: string, address: string): Promise<http2.ClientHttp2Session> {
  const { current } = identity;
  const { hostname, port } = new URL(`https://${address}`);
  const socket = tls.connect({
    ...mutualTls(current),
    host: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port || 443),
    ALPNProtocols: ["h2"],
    checkServerIdentity: checkServer(current.id, app),
  });
  socket.setNoDelay(true);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      socket.off("error", reject);
      resolve();
    });
    socket.once("error", reject);
    socket.once("close", () => {
      clearTimeout(timer);
      reject(new Error("the connection was closed"));
    });
  });
  const session = http2.connect(`https://${app}`, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: 1024 * 1024 },
    maxSessionMemory: 64,
    peerMaxConcurrentStreams: 1000,
  });
  session.on("error", () => {}); // Told to each of its streams; "close" follows.
  // In TLS 1.3 a client is through before the server has looked at its certificate: the server's settings prove that it took us.
  await new Promise<void>((resolve, reject) => {
    session.once("remoteSettings", () => resolve());
    session.once("close", () => reject(new Error("it refused this runtime's certificate, or closed the connection")));
  });
  session.setLocalWindowSize(8 * 1024 * 1024);
  return session;
}

/** Ends a connection whose other side is gone without a word, and one that nobody uses. It keeps no process alive. */
function watch(session: http2.ClientHttp2Session): void {
  session.unref();
  session.setTimeout(idleMs, () => session.close());
  const timer = setInterval(() => {
    if (session.closed || session.destroyed) return;
    const late = setTimeout(() => session.destroy(new Error("the other runtime does not answer")), pingTimeoutMs);
    late.unref();
    const done = () => clearTimeout(late);
    if (!session.ping(done)) done();
  }, pingIntervalMs);
  timer.unref();
  session.once("close", () => clearInterval(timer));
}

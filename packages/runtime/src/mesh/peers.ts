import * as http2 from "node:http2";
import { systemClock } from "@mecha/component";
import type { Identity } from "@mecha/identity";
import { connectTimeoutMs, connectTls } from "./connect-tls.js";
import { expires } from "./deadline.js";
import { maxHeaders } from "./headers.js";
import { createLane, type Lane } from "./lane.js";

/** How long an instance that could not be reached is left for last, in ms. */
const avoidMs = 1_000;
/** How often a connection is asked whether the other side is still there, and how long that may take, in ms. */
const pingIntervalMs = 10_000;
const pingTimeoutMs = 5_000;
/** How long a connection without a call is kept, in ms. */
const idleMs = 5 * 60_000;

/** What leads to an instance: a session that all calls share, and a lane for those that are small and whole. */
export interface PeerConnection {
  readonly session: http2.ClientHttp2Session;
  readonly lane: Lane;
}

/** Connections to other runtimes, which calls share. */
export interface Peers {
  /** What leads to an instance of an app; at once where it is there. Rejects if it cannot be reached, or is not who it should be. */
  connection(app: string, address: string): PeerConnection | Promise<PeerConnection>;
  /** Whether an instance could not be reached a moment ago. */
  isAvoided(app: string, address: string): boolean;
  /** Closes all connections once their calls are over. */
  close(): Promise<void>;
  /** Ends what is still open. */
  destroy(): void;
}

interface Peer {
  open: PeerConnection | undefined;
  connecting: Promise<PeerConnection> | undefined;
  avoidedUntil: number;
}

/** Makes the pool. A renewed identity makes new connections; the calls on the old ones end in their own time. */
export function createPeers(identity: Identity): Peers {
  const peers = new Map<string, Peer>();
  const connections = new Set<PeerConnection>();
  /** Those that could not be reached when they were last tried: as a rule none, and then nothing is looked up. */
  const avoided = new Set<Peer>();
  const keyOf = (app: string, address: string) => `${app}@${address}`;
  let closed = false;

  const stopListening = identity.onChange(() => {
    for (const peer of peers.values()) {
      if (peer.open !== undefined) retire(peer.open);
      peer.open = undefined;
    }
  });

  /** Instances come and go: of one that is neither connected nor avoided nothing is kept. */
  const forget = (peer: Peer, app: string, address: string) => {
    const inUse = peer.open !== undefined || peer.connecting !== undefined || peer.avoidedUntil > performance.now();
    if (peer.avoidedUntil <= performance.now()) avoided.delete(peer);
    if (!inUse && peers.get(keyOf(app, address)) === peer) peers.delete(keyOf(app, address));
  };

  const connect = async (peer: Peer, app: string, address: string): Promise<PeerConnection> => {
    try {
      const session = await openSession(identity, app, address);
      if (closed) {
        session.destroy();
        throw new Error("the runtime is stopping");
      }
      const open: PeerConnection = { session, lane: createLane(identity, app, address) };
      connections.add(open);
      session.once("close", () => {
        if (peer.open === open) peer.open = undefined;
        void open.lane.retire().then(() => connections.delete(open));
        forget(peer, app, address);
      });
      // It takes no new calls: the next one goes to a new connection, or elsewhere.
      session.once("goaway", () => {
        if (peer.open === open) peer.open = undefined;
        void open.lane.retire();
      });
      watch(open);
      peer.open = open;
      peer.avoidedUntil = 0;
      avoided.delete(peer);
      return open;
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
    connection(app, address) {
      const key = keyOf(app, address);
      let peer = peers.get(key);
      if (peer === undefined) {
        peer = { open: undefined, connecting: undefined, avoidedUntil: 0 };
        peers.set(key, peer);
      }
      if (peer.open !== undefined && !peer.open.session.closed && !peer.open.session.destroyed) return peer.open;
      peer.connecting ??= connect(peer, app, address);
      return peer.connecting;
    },
    isAvoided: (app, address) =>
      avoided.size > 0 && (peers.get(keyOf(app, address))?.avoidedUntil ?? 0) > performance.now(),
    async close() {
      closed = true;
      stopListening();
      await Promise.all([...connections].map(retire));
    },
    destroy() {
      closed = true;
      for (const { session, lane } of connections) {
        session.destroy();
        lane.destroy();
      }
    },
  };
}

/** Takes no new calls; resolves when those under way are over. */
async function retire({ session, lane }: PeerConnection): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    if (session.destroyed) resolve();
    else session.once("close", () => resolve());
  });
  session.close();
  await Promise.all([ended, lane.retire()]);
}

/** Connects, with both sides proving who they are. Nothing is sent before the other side has. */
async function openSession(identity: Identity, app: string, address: string): Promise<http2.ClientHttp2Session> {
  const socket = connectTls(identity, app, address, "h2");
  const late = () => socket.destroy(new Error(`no answer within ${connectTimeoutMs} ms`));
  const cancelTimer = systemClock.after(connectTimeoutMs, late);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", () => {
        socket.off("error", reject);
        resolve();
      });
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("the connection was closed")));
    });
    const session = http2.connect(`https://${app}`, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: 1024 * 1024 },
      maxSessionMemory: 64,
      peerMaxConcurrentStreams: 1000,
      maxHeaderListPairs: maxHeaders,
    });
    session.on("error", () => {}); // Told to each of its streams; "close" follows.
    // The server's settings prove that it took our certificate.
    await new Promise<void>((resolve, reject) => {
      session.once("remoteSettings", () => resolve());
      session.once("close", () => reject(new Error("it refused this runtime's certificate, or closed the connection")));
    });
    session.setLocalWindowSize(8 * 1024 * 1024);
    return session;
  } finally {
    cancelTimer();
  }
}

/** Ends a connection whose other side is gone without a word, and one that nobody uses. It keeps no process alive. */
function watch({ session, lane }: PeerConnection): void {
  session.unref();
  session.setTimeout(idleMs);
  session.on("timeout", () => {
    // Small calls do not touch the session.
    if (performance.now() - lane.usedAt < idleMs) session.setTimeout(idleMs);
    else session.close();
  });
  const timer = setInterval(() => {
    // One that is closing takes no ping: its last calls have TCP's keep-alive.
    if (session.closed || session.destroyed) return;
    const done = expires(systemClock, pingTimeoutMs, () => {
      session.destroy(new Error("the other runtime does not answer"));
      lane.destroy();
    });
    if (!session.ping(done)) done();
  }, pingIntervalMs);
  timer.unref();
  session.once("close", () => clearInterval(timer));
}

import type { TLSSocket } from "node:tls";
import type { Identity } from "@mecha/identity";
import { connectTimeoutMs, connectTls } from "./connect-tls.js";
import type { Answer, Outbound, OutboundRequest, Send } from "./exchange.js";
import { createLaneQueue } from "./lane-queue.js";
import { createWholeClient, mayGoWhole, sendWhole } from "./send-whole.js";

/**
 * How many connections there are to an instance beside its session, at the most. More than calls are under way as a rule: what they cannot take costs
 * several times as much, as a stream, and makes the garbage that slows all others down, so a burst that does not fit would feed itself.
 */
const maxConnections = 128;
/** The next one is not opened sooner than this after the last, in ms: a handshake costs as much as many a call, just when there are too many. */
const pauseMs = 10;
/** Calls that find none free within so many ms come at once, and as many connections are missing. */
const burstMs = 5;
/** How long one that nobody uses is kept, in ms: as long as the session. */
const idleMs = 5 * 60_000;
/** After one that could not be opened the next is tried so much later, in ms: an older runtime has no such connections. */
const retryMs = 30_000;
/** What the other side says once it has taken us. */
export const greeting = "HTTP/1.1 100 Continue\r\n\r\n";

/**
 * Plain HTTP/1.1 connections to an instance, beside the HTTP/2 session that there always is: one small whole call at a time on each costs a fraction
 * of a stream. They become more while calls find none free, one after the other; a call waits where one will be free soon, and else goes by the session.
 */
export interface Lane {
  /** When it was last used, by `performance.now()`. */
  readonly usedAt: number;
  /** Sends a call, by `otherwise` if it is not small and whole, or would have to wait. */
  send(request: OutboundRequest, answer: Answer, otherwise: Send): Outbound;
  /** Takes no more calls; resolves when those under way are over. */
  retire(): Promise<void>;
  /** Ends what is still open. */
  destroy(): void;
}

export function createLane(identity: Identity, app: string, address: string): Lane {
  const client = createWholeClient("runtime", {
    maxIdle: maxConnections,
    idleMs,
    onFree: () => queue.freed(client.usedAt),
  });
  const sendNow = (request: OutboundRequest, answer: Answer) => sendWhole(client, app, request, answer);
  const queue = createLaneQueue(sendNow);
  let isOpening = false;
  let notBefore = 0;
  /** So many more are to be opened. */
  let missing = 0;
  let burst = 0;
  let burstUntil = 0;
  const openNext = () => {
    if (isOpening || missing <= 0 || client.size >= maxConnections || performance.now() < notBefore) return;
    isOpening = true;
    open(identity, app, address, (socket) => {
      isOpening = false;
      missing = socket === undefined ? 0 : missing - 1;
      notBefore = performance.now() + (socket === undefined ? retryMs : pauseMs);
      if (socket !== undefined) client.add(socket);
      if (missing > 0) setTimeout(openNext, pauseMs + 1).unref();
    });
  };
  /** No connection was free. */
  const grow = () => {
    const now = performance.now();
    if (now > burstUntil) {
      burst = 0;
      burstUntil = now + burstMs;
    }
    missing = Math.max(missing, ++burst);
    openNext();
  };
  return {
    get usedAt() {
      return client.usedAt;
    },
    send(request, answer, otherwise) {
      if (!mayGoWhole(request)) return otherwise(request, answer);
      const sent = sendNow(request, answer);
      if (sent !== undefined) return sent;
      grow();
      return queue.join(request, answer, otherwise) ?? otherwise(request, answer);
    },
    async retire() {
      const retired = client.retire();
      queue.flush();
      await retired;
    },
    destroy() {
      client.destroy();
      queue.flush();
    },
  };
}

/** Opens a connection, with both sides proving who they are; gives undefined if there is none. */
function open(identity: Identity, app: string, address: string, done: (socket?: TLSSocket) => void): void {
  const socket = connectTls(identity, app, address, "http/1.1").unref();
  const timer = setTimeout(() => socket.destroy(), connectTimeoutMs).unref();
  const settle = (opened?: TLSSocket) => {
    clearTimeout(timer);
    socket.off("data", onData).off("close", onClose).off("error", ignore);
    done(opened);
  };
  // The greeting proves that it took our certificate.
  let greeted = "";
  const onData = (chunk: Buffer) => {
    greeted += chunk.toString("latin1");
    if (greeted === greeting && socket.alpnProtocol === "http/1.1") settle(socket);
    else if (!greeting.startsWith(greeted)) socket.destroy();
  };
  const onClose = () => settle();
  socket.on("error", ignore);
  socket.once("close", onClose);
  socket.on("data", onData);
}

const ignore = () => {};

import * as http from "node:http";
import * as http2 from "node:http2";
import * as net from "node:net";
import { appHost } from "../app/client.js";
import type { Send } from "./exchange.js";
import { maxHeaders } from "./headers.js";
import { isRefused } from "./refusal.js";
import { sendHttp1 } from "./send-http1.js";
import { sendHttp2 } from "./send-http2.js";
import { sendUpgrade } from "./send-upgrade.js";
import { createWholeClient, sendWhole } from "./send-whole.js";

/** How long the app may take to accept an HTTP/2 connection, in ms. */
const connectTimeoutMs = 3_000;

/** The app behind this runtime: HTTP/1.1 on kept connections, HTTP/2 without TLS for what needs it. */
export interface AppSender {
  /** How to send a request of this content type: gRPC needs HTTP/2; streams of Connect and gRPC-Web have it where the app speaks it. */
  sender(contentType: string): Send | Promise<Send>;
  /** Asks for a WebSocket. */
  readonly upgrade: Send;
  close(): void;
}

export function createAppSender(port: number): AppSender {
  const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 256, scheduling: "lifo" });
  const authority = `${appHost}:${port}`;
  let session: http2.ClientHttp2Session | undefined;
  let connecting: Promise<http2.ClientHttp2Session> | undefined;
  /** Whether the app answers HTTP/2 at all; asked when a call would like it, and again after a connection was lost. */
  let speaksHttp2: Promise<boolean> | undefined;

  // Whole requests go on connections of their own, at a fraction of what Node's client costs.
  const client = createWholeClient("app", { connect: () => net.connect({ host: appHost, port, noDelay: true }) });
  const overHttp1: Send = (request, answer) =>
    sendWhole(client, authority, request, answer) ?? sendHttp1(agent, port, request, answer);
  const over = (open: http2.ClientHttp2Session): Send => {
    return (request, answer) => sendHttp2(open, authority, request, answer);
  };

  const connect = async (): Promise<http2.ClientHttp2Session> => {
    try {
      const opened = await openSession(authority);
      session = opened;
      opened.once("close", () => {
        if (session === opened) session = undefined;
        speaksHttp2 = undefined;
      });
      return opened;
    } finally {
      connecting = undefined;
    }
  };
  const openHttp2 = (): http2.ClientHttp2Session | Promise<http2.ClientHttp2Session> => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    connecting ??= connect();
    return connecting;
  };
  const asks = async (): Promise<boolean> => {
    try {
      await openHttp2();
      return true;
    } catch (error) {
      // Nobody listened: that says nothing of what will.
      if (isRefused(error)) speaksHttp2 = undefined;
      return false;
    }
  };

  return {
    upgrade: (request, answer) => sendUpgrade(port, request, answer),
    sender(contentType) {
      const isStream = contentType.startsWith("application/connect+") || contentType.startsWith("application/grpc-web");
      const isGrpc = contentType.startsWith("application/grpc") && !isStream;
      if (!isGrpc && !isStream) return overHttp1;
      const found = session !== undefined && !session.closed && !session.destroyed ? session : undefined;
      if (found !== undefined) return over(found);
      if (isGrpc) return Promise.resolve(openHttp2()).then(over);
      speaksHttp2 ??= asks();
      return speaksHttp2.then(async (speaks) => (speaks ? over(await openHttp2()) : overHttp1));
    },
    close() {
      agent.destroy();
      client.destroy();
      session?.close();
    },
  };
}

/** Connects with prior knowledge; the app's settings prove that it speaks HTTP/2. */
async function openSession(authority: string): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`http://${authority}`, {
    settings: { enablePush: false, initialWindowSize: 1024 * 1024 },
    maxSessionMemory: 64,
    maxHeaderListPairs: maxHeaders,
  });
  let failure: Error | undefined;
  session.on("error", (error) => {
    failure = error;
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => session.destroy(new Error("it does not speak HTTP/2")), connectTimeoutMs);
    session.once("remoteSettings", () => resolve());
    session.once("close", () => {
      clearTimeout(timer);
      reject(failure ?? new Error("it does not speak HTTP/2"));
    });
    session.once("remoteSettings", () => clearTimeout(timer));
  });
  session.unref();
  session.setLocalWindowSize(8 * 1024 * 1024);
  return session;
}

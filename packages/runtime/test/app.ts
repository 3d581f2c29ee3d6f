import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { onTestFinished } from "vitest";

/** What the app was sent. */
export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What it answers with: a status alone, or all of it. */
export type Answer =
  | number
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string };

/** An app that listens, for the runtime to post to; gone after the test. */
export interface TestApp {
  readonly port: number;
  readonly received: Received[];
  /** Requests that are with the app now, and the most there were at a time. */
  readonly open: { now: number; most: number };
  /** Goes away; every connection with it, as when its process is killed. */
  kill(): Promise<void>;
  /** Listens again on its port. */
  restart(): Promise<void>;
}

/** Starts an app that answers with what `answer` says of a request. */
export async function startApp(answer: (received: Received) => Answer | Promise<Answer> = () => 204): Promise<TestApp> {
  const received: Received[] = [];
  const open = { now: 0, most: 0 };
  const listener: RequestListener = async (request, response) => {
    const { method = "", url = "", headers } = request;
    const one = { method, url, headers, body: await buffer(request) };
    received.push(one);
    open.now += 1;
    open.most = Math.max(open.most, open.now);
    response.once("close", () => {
      open.now -= 1;
    });
    const given = await answer(one);
    const { status, headers: sent = {}, body = "" } = typeof given === "number" ? { status: given } : given;
    response.writeHead(status, sent).end(body);
  };
  const listen = async (port: number): Promise<Server> => {
    const server = createServer(listener).listen(port, "127.0.0.1");
    await once(server, "listening");
    return server;
  };
  let server = await listen(0);
  const { port } = server.address() as AddressInfo;
  const kill = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  };
  onTestFinished(kill);
  return {
    port,
    received,
    open,
    kill,
    async restart() {
      server = await listen(port);
    },
  };
}

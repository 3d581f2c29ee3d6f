import { Agent, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import type { Clock } from "@mecha/component";
import { version } from "../version.js";

/** Apps listen on 127.0.0.1 or on ::1. */
export const appHost = "localhost";

/** What is posted to the app. */
export interface AppRequest {
  /** With its query, as it stands in a request line. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
  /** How long the app has to answer, in ms. */
  readonly timeoutMs: number;
  /** Whether over a connection of its own, which nothing was sent on before. */
  readonly fresh: boolean;
  /** Ends the request; its answer is then "failed". */
  readonly signal: AbortSignal;
}

/** What came of it. */
export type AppAnswer =
  | {
      readonly type: "answered";
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      /** The beginning of the body, for a status that is no success. */
      readonly text: string;
    }
  /** No connection: the app has seen nothing of it. */
  | { readonly type: "unreachable"; readonly error: string }
  /** The app had closed the kept connection, most likely before it saw this; over a fresh one it would be known. */
  | { readonly type: "stale"; readonly error: string }
  /** No answer, but the app may have acted. */
  | { readonly type: "failed"; readonly error: string };

/** The runtime's way to the app, over connections that are kept. */
export interface AppClient {
  post(request: AppRequest): Promise<AppAnswer>;
  close(): void;
}

/** How much of a body is read before the connection is given up, and how much of it is kept for a person to read. */
const maxBodyBytes = 64 * 1024;
const maxTextBytes = 512;

/**
 * A client of the app on `port` of this machine. Every request carries `authorization: Bearer <token>`, by which the app knows that it comes from
 * its runtime. Redirects are answers like others: nothing is sent where the app did not listen.
 */
export function createAppClient(port: number, token: string | undefined, clock: Clock): AppClient {
  const kept = new Agent({ keepAlive: true });
  const own = {
    "user-agent": `mecha/${version}`,
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };

  return {
    post(sent) {
      const { path, body, signal } = sent;
      const headers = { ...sent.headers, ...own, "content-length": String(Buffer.byteLength(body)) };
      const { promise, resolve } = Promise.withResolvers<AppAnswer>();
      const agent = sent.fresh ? false : kept;
      const outgoing = request({ host: appHost, port, method: "POST", path, headers, agent });
      const connected = watchConnection(outgoing);
      const abort = (reason: string) => outgoing.destroy(new Error(reason));
      const cancelTimer = clock.after(sent.timeoutMs, () => abort(`no answer within ${sent.timeoutMs / 1000} s`));
      const onAbort = () => abort("the runtime stopped waiting");
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
      let isAnswered: boolean = false;
      const fail = (error: string, code?: string) => {
        // What comes after the head of an answer does not change it.
        if (isAnswered) return;
        const isStale = outgoing.reusedSocket && code !== undefined && hungUp.has(code);
        resolve({ type: !connected() ? "unreachable" : isStale ? "stale" : "failed", error });
      };
      outgoing.once("response", (response) => {
        isAnswered = true;
        void readAnswer(response).then(resolve);
      });
      outgoing.once("error", (error: NodeJS.ErrnoException) => fail(describe(error), error.code));
      outgoing.once("close", () => {
        cancelTimer();
        signal.removeEventListener("abort", onAbort);
        // What ends in neither an answer nor an error: an upgrade that nobody asked for.
        fail("the app ended the connection without an answer");
      });
      outgoing.end(body);
      return promise;
    },
    close: () => kept.destroy(),
  };
}

const hungUp = new Set(["ECONNRESET", "EPIPE"]);

/** Tells whether a request ever had a connection. */
function watchConnection(outgoing: ClientRequest): () => boolean {
  let connected = false;
  outgoing.once("socket", (socket) => {
    if (!socket.connecting) connected = true;
    else socket.once("connect", () => (connected = true));
  });
  return () => connected;
}

/** A success is one as soon as its status is known; of anything else the beginning is read. The rest is read for the connection's sake. */
async function readAnswer(response: IncomingMessage): Promise<AppAnswer> {
  const { statusCode: status = 0, headers } = response;
  const ended = readText(response);
  const isSuccess = status >= 200 && status < 300;
  return { type: "answered", status, headers, text: isSuccess ? "" : await ended };
}

async function readText(response: IncomingMessage): Promise<string> {
  const kept: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (length < maxTextBytes) kept.push(chunk);
      length += chunk.byteLength;
      if (length > maxBodyBytes) break;
    }
  } catch {
    // What came counts.
  }
  return Buffer.concat(kept).subarray(0, maxTextBytes).toString();
}

function describe(error: NodeJS.ErrnoException): string {
  if (error.code === "ECONNREFUSED") return "the app does not listen";
  if (error.code !== undefined && hungUp.has(error.code)) return "the app ended the connection without an answer";
  // An AggregateError of both addresses of "localhost" has no words of its own.
  return error.message || error.code || "the connection failed";
}

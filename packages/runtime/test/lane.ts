import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { RequestListener } from "node:http";
import { buffer } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { until } from "./helpers.js";
import { openRaw, type RunningRuntime } from "./mesh.js";

/** Counts what Node's own HTTP does. */
export function countNode() {
  const counts = { served: 0, sent: 0, streams: 0 };
  const channels = {
    "http.server.request.start": () => counts.served++,
    "http.client.request.start": () => counts.sent++,
    "http2.client.stream.created": () => counts.streams++,
  };
  for (const [name, count] of Object.entries(channels)) subscribe(name, count);
  onTestFinished(() => {
    for (const [name, count] of Object.entries(channels)) unsubscribe(name, count);
  });
  return {
    /** What has been counted since it was asked the last time. */
    take() {
      const taken = { ...counts };
      Object.assign(counts, { served: 0, sent: 0, streams: 0 });
      return taken;
    },
  };
}

/** Only the app is served by Node, and nothing else goes through it. */
export const byLane = { served: 1, sent: 0, streams: 0 };
export const byNode = { served: 2, sent: 1, streams: 1 };

export interface Said {
  readonly status: string;
  readonly headers: string[];
  readonly body: string;
}

/** Takes one whole answer off what came; undefined if it is not there. */
export function takeAnswer(text: string, isHead = false): { said: Said; rest: string } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const [status = "", ...lines] = text.slice(0, end).split("\r\n");
  const headers = lines.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()));
  let rest = text.slice(end + 4);
  const length = headers.find((line) => line.startsWith("content-length:"))?.slice(15);
  const done = (body: string) => {
    const kept = headers.filter((line) => !/^(date|connection|keep-alive):/.test(line)).sort();
    return { said: { status, headers: kept, body }, rest };
  };
  if (isHead || / (204|304) /.test(status)) return done("");
  if (length !== undefined) {
    if (rest.length < Number(length)) return undefined;
    const body = rest.slice(0, Number(length));
    rest = rest.slice(Number(length));
    return done(body);
  }
  let body = "";
  for (;;) {
    const lineEnd = rest.indexOf("\r\n");
    const size = Number.parseInt(rest, 16);
    if (lineEnd === -1 || rest.length < lineEnd + 4 + size) return undefined;
    body += rest.slice(lineEnd + 2, lineEnd + 2 + size);
    if (size === 0) {
      const last = rest.slice(lineEnd + 2);
      const lastEnd = last.startsWith("\r\n") ? 2 : last.indexOf("\r\n\r\n") + 4;
      if (lastEnd === 3) return undefined;
      rest = last.slice(lastEnd);
      return done(body + last.slice(0, lastEnd));
    }
    rest = rest.slice(lineEnd + 4 + size);
  }
}

/** A connection to a runtime on which one request follows the other. */
export function openTalk(runtime: RunningRuntime) {
  const { socket, text, closed } = openRaw(runtime);
  let taken = 0;
  return {
    closed,
    async ask(head: string, body = ""): Promise<Said> {
      socket.write(`${head}\r\n\r\n${body}`, "latin1");
      let found: ReturnType<typeof takeAnswer>;
      await until(
        () => {
          found = takeAnswer(text().slice(taken), head.startsWith("HEAD"));
          return found !== undefined;
        },
        `an answer to ${head.split("\r\n")[0]}, after ${JSON.stringify(text().slice(taken, taken + 200))}`,
      );
      if (found === undefined) throw new Error("there is none");
      taken = text().length - found.rest.length;
      return found.said;
    },
  };
}

export const echo: RequestListener = (incoming, response) => {
  buffer(incoming).then(
    (body) => {
      const { method, url, headers } = incoming;
      const { "x-twice": _, host: __, traceparent: ___, ...rest } = headers;
      response.setHeader("x-seen", JSON.stringify([method, url, ...Object.entries(rest).map(String).sort()]));
      response.setHeader("set-cookie", ["a=1", "b=2"]);
      const [, kind] = /[?&]answer=([\w-]+)/.exec(url ?? "") ?? [];
      switch (kind) {
        case "chunked":
          response.write("one,");
          response.write(body);
          response.end(",two");
          break;
        case "trailers":
          if (method === "HEAD") return void response.end();
          response.writeHead(200, { trailer: "x-sum" });
          response.write(body);
          response.addTrailers({ "x-sum": "3" });
          response.end();
          break;
        case "no-content":
          response.writeHead(204).end();
          break;
        case "not-modified":
          response.writeHead(304, { etag: '"a"' }).end();
          break;
        case "error":
          response.writeHead(500, "Odd", { "content-type": "text/plain", "x-list": ["a", "b"] }).end("no");
          break;
        case "empty":
          response.end();
          break;
        case "large":
          response.end("x".repeat(200_000));
          break;
        case "late-body":
          response.writeHead(200, { "content-length": "6" });
          response.write("abc");
          setTimeout(() => response.end("def"), 60);
          break;
        case "latin":
          response.setHeader("x-latin", "\xe4\xff");
          response.end("\xe4");
          break;
        default:
          response.end(body);
      }
    },
    () => {},
  );
};

/** So that there is a connection for small calls. */
export async function warm(url: string): Promise<void> {
  const count = countNode();
  await until(async () => {
    count.take();
    await (await fetch(`${url}/warm`)).arrayBuffer();
    return count.take().streams === 0;
  }, "there is a lane");
}

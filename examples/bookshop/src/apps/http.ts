// The little HTTP that the apps need; nothing about Mecha in here.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";

/** What an app is asked. */
export interface Question {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** What it answers. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** Serves on $PORT until the process is told to stop. */
export async function serveUntilStopped(answer: (question: Question) => Answer | Promise<Answer>): Promise<void> {
  const server = createServer(async ({ method = "", url: path = "", headers }, response) => {
    try {
      const { status, body } = await answer({ method, path, headers });
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    } catch (error) {
      response.writeHead(503);
      response.end(`${error instanceof Error ? error.message : error}\n`);
    }
  });
  server.listen(Number(process.env.PORT), "127.0.0.1");
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  server.close();
  server.closeAllConnections();
}

/**
 * The headers that go along when an app asks another on somebody's behalf: the trace, so that all of it is one, and what policies look at.
 * An app with OpenTelemetry in it need not do that for the trace.
 */
export function passOn(headers: IncomingHttpHeaders): Record<string, string> {
  const passed = ["traceparent", "x-beta"].map((name) => [name, headers[name]]);
  return Object.fromEntries(passed.filter(([, value]) => typeof value === "string"));
}

/** The last part of a path as `/books/{isbn}`; undefined if it is another. */
export function isbnOf(path: string, prefix: string): string | undefined {
  const [, first, isbn, ...more] = path.split("/");
  return first === prefix && isbn && more.length === 0 ? isbn : undefined;
}

// The little HTTP that the apps need; nothing about Mecha in here.
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";

/** What an app answers. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** Serves on $PORT until the process is told to stop. */
export async function serveUntilStopped(
  answer: (method: string, path: string, body: string, request: IncomingMessage) => Promise<Answer>,
): Promise<void> {
  const server = createServer(async (request, response) => {
    try {
      const { status, body } = await answer(request.method ?? "", request.url ?? "", await text(request), request);
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    } catch (error) {
      response.writeHead(error instanceof TypeError || error instanceof SyntaxError ? 400 : 503);
      response.end(`${error instanceof Error ? error.message : error}\n`);
    }
  });
  server.listen(Number(process.env.PORT), "127.0.0.1");
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  server.close();
  server.closeAllConnections();
}

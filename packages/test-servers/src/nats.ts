import { join } from "node:path";
import { answers, startServer, type TestServer } from "./server.js";
import { locate } from "./tools.js";

/** Starts a NATS server with JetStream. */
export function startNats(): Promise<TestServer> {
  return startServer({
    url: (port) => `nats://127.0.0.1:${port}`,
    command: (port, folder) => ({
      program: locate("nats"),
      args: ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", join(folder, "jetstream")],
    }),
    isReady: (port) => answers(port, "", "INFO"),
  });
}

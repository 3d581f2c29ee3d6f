import { join } from "node:path";
import { answers, startServer, type TestServer } from "./server.js";
import { locate } from "./tools.js";

/** Options of {@link startNats}. */
export interface NatsOptions {
  /** Further arguments of `nats-server`, such as `["--user", "u", "--pass", "p"]`. */
  args?: string[];
  /** Whether it has JetStream. Default true. */
  jetstream?: boolean;
}

/** Starts a NATS server with JetStream. */
export function startNats({ args = [], jetstream = true }: NatsOptions = {}): Promise<TestServer> {
  return startServer({
    url: (port) => `nats://127.0.0.1:${port}`,
    command: (port, folder) => ({
      program: locate("nats"),
      args: [
        ...["-a", "127.0.0.1", "-p", String(port), ...args],
        ...(jetstream ? ["-js", "-sd", join(folder, "jetstream")] : []),
      ],
    }),
    isReady: (port) => answers(port, "", "INFO"),
  });
}

import { createClient } from "@redis/client";
import type { ConnectOptions, Endpoint } from "./config.js";

/** One connection of the client library. */
export type Client = ReturnType<typeof newClient>;

/** A client that neither reconnects, queues nor keeps time: that is its connection's affair. */
export function newClient(endpoint: Endpoint, options: ConnectOptions) {
  const shared = { connectTimeout: options.connectTimeoutMs, reconnectStrategy: false } as const;
  const { ca, cert, key, servername } = options.tls ?? {};
  const given = Object.fromEntries(
    Object.entries({ ca, cert, key, servername }).filter(([, value]) => value !== undefined),
  );
  const { username, password } = options;
  return createClient({
    socket:
      "path" in endpoint
        ? { ...shared, path: endpoint.path, tls: false }
        : endpoint.tls
          ? { ...shared, host: endpoint.host, port: endpoint.port, tls: true, servername: endpoint.host, ...given }
          : { ...shared, host: endpoint.host, port: endpoint.port },
    database: options.database,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    RESP: 3,
    disableOfflineQueue: true,
    maintNotifications: "disabled",
    clientInfoTag: "mecha",
    // The watchdog keeps time for all commands at once; a timer for each would cost more than the command.
    commandOptions: { timeout: 0 },
  });
}

/** What a person can do about a connection that cannot be made. */
export function explain(error: unknown, address: string): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const code = "code" in error ? error.code : undefined;
  const words: Readonly<Record<string, string>> = {
    ECONNREFUSED: `connection refused at ${address}; is Redis running?`,
    ENOENT: `no socket at ${address}; is Redis running?`,
    ENOTFOUND: `the host of ${address} is not known; is it spelt right?`,
    ECONNRESET: `Redis at ${address} closed the connection`,
    EPIPE: `Redis at ${address} closed the connection`,
  };
  const known = typeof code === "string" ? words[code] : undefined;
  if (known !== undefined) return new Error(known, { cause: error });
  return error.message.includes(address) ? error : new Error(`Redis at ${address}: ${error.message}`, { cause: error });
}

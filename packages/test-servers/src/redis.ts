import { answers, startServer, type TestServer } from "./server.js";
import { locate } from "./tools.js";

/** Options of {@link startRedis}. */
export interface RedisOptions {
  /** When the append-only file is synced. Default "always": durable. "off": no file at all. */
  appendfsync?: "always" | "everysec" | "no" | "off";
  /** Further `redis.conf` settings, such as `{ "maxmemory-policy": "allkeys-lru" }`. */
  settings?: Record<string, string>;
}

/** Starts a Redis server. */
export function startRedis({ appendfsync = "always", settings = {} }: RedisOptions = {}): Promise<TestServer> {
  const all: Record<string, string> = {
    bind: "127.0.0.1",
    save: "",
    appendonly: appendfsync === "off" ? "no" : "yes",
    ...(appendfsync === "off" ? {} : { appendfsync }),
    ...settings,
  };
  return startServer({
    url: (port) => `redis://127.0.0.1:${port}`,
    command: (port, folder) => ({
      program: locate("redis"),
      args: Object.entries({ port: String(port), dir: folder, ...all }).flatMap(([key, value]) => [`--${key}`, value]),
    }),
    isReady: (port) => answers(port, "PING\r\n", "+PONG"),
  });
}

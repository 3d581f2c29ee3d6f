import { chmodSync, rmSync } from "node:fs";
import * as net from "node:net";
import type { Server as TlsServer } from "node:tls";
import { isMainThread } from "node:worker_threads";
import type { ListenOptions } from "../options.js";

/** Starts listening and says where: a URL's authority, or `unix:` and the path. */
export async function listen(server: net.Server | TlsServer, options: ListenOptions, scheme: string): Promise<string> {
  if ("path" in options) {
    await removeStaleSocket(options.path);
    await bind(server, () => listenPrivately(server, options.path));
    return `unix:${options.path}`;
  }
  const { host = "127.0.0.1", port = 0 } = options;
  await bind(server, () => server.listen({ host, port }));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP listener has no port");
  return `${scheme}://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
}

function bind(server: net.Server, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    start();
  });
}

/** Binds within the umask's window, so that there is no instant at which another user could connect. */
function listenPrivately(server: net.Server, path: string): void {
  // A worker thread may not set the process's umask; there the mode is set after the bind.
  const previous = isMainThread ? process.umask(0o177) : undefined;
  try {
    server.listen({ path });
    if (previous === undefined) server.once("listening", () => chmodSync(path, 0o600));
  } finally {
    if (previous !== undefined) process.umask(previous);
  }
}

/** A socket that nobody answers on was left by a process that died; one that answers is somebody's, and bind says EADDRINUSE. */
function removeStaleSocket(path: string): Promise<void> {
  return new Promise((resolve) => {
    const probe = net.connect({ path });
    probe.once("connect", () => {
      probe.destroy();
      resolve();
    });
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") rmSync(path, { force: true });
      resolve();
    });
  });
}

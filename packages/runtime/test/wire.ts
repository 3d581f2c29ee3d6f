import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** What lies between a runtime and those who call it: passes bytes on until it is told otherwise. */
export interface Wire {
  readonly port: number;
  /** As when the process behind it is killed: connections are reset, and nobody listens. */
  cut(): void;
  /** As when the process behind it is killed that has read all there was: connections end as if all were said. */
  end(): void;
  /** As when the process behind it is stopped: connections stay and are taken, and nothing comes. */
  freeze(): void;
}

/** A wire to `target`, on a free port. */
export async function startWire(target: number): Promise<Wire> {
  const sockets = new Set<Socket>();
  let frozen = false;
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => sockets.delete(socket));
    }
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy());
    near.on("data", (chunk) => frozen || far.write(chunk));
    far.on("data", (chunk) => frozen || near.write(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    server.close();
    for (const socket of sockets) socket.resetAndDestroy();
  };
  onTestFinished(cut);
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    end() {
      server.close();
      for (const socket of sockets) socket.end();
    },
    freeze() {
      frozen = true;
    },
  };
}

/**
 * A port that nobody has just now. Below those that the kernel gives out by itself (32,768 and above on Linux): one of these may be some connection's
 * by the time it is listened on.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

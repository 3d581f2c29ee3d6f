import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A server's address that leads to it over this process, where answers can be lost. */
export interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** Cuts the next connection over which something that has these bytes is sent, when its answer comes. */
  cutAnswerTo(bytes: string): void;
  /** How many connections were cut. */
  readonly cuts: number;
}

export async function startCuttingProxy(port: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let wanted: string | undefined;
  let cuts = 0;
  const proxy = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    let isDoomed: boolean = false;
    const end = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", end);
      socket.on("close", end);
    }
    near.on("data", (chunk) => {
      if (wanted !== undefined && chunk.includes(wanted)) {
        wanted = undefined;
        isDoomed = true;
        cuts += 1;
      }
      far.write(chunk);
    });
    far.on("data", (chunk) => (isDoomed ? end() : near.write(chunk)));
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    cutAnswerTo(bytes) {
      wanted = bytes;
    },
    get cuts() {
      return cuts;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, "close");
    },
  };
}

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A server's address that leads to it over this process, where answers can be lost. */
export interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** Cuts the next connection over which the prepared statement is run, when its answer comes. */
  cutAnswerTo(statement: string): void;
}

export async function startCuttingProxy(server: {
  readonly url: string;
  readonly port: number;
}): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  let statement: string | undefined;
  const proxy = createServer((near) => {
    const far = connect(server.port, "127.0.0.1");
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
      if (statement !== undefined && chunk.includes(`\0${statement}\0`)) {
        statement = undefined;
        isDoomed = true;
      }
      far.write(chunk);
    });
    far.on("data", (chunk) => (isDoomed ? end() : near.write(chunk)));
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    url: server.url.replace(String(server.port), String((proxy.address() as AddressInfo).port)),
    cutAnswerTo(name) {
      statement = name;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, "close");
    },
  };
}

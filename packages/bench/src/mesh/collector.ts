import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Takes traces by OTLP over HTTP, and counts them only: what a real collector makes of them is no matter of what sends them. */
export class Collector implements AsyncDisposable {
  readonly #server = createServer((request, response) => {
    request.on("data", (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
    });
    request.on("end", () => response.setHeader("content-type", "application/x-protobuf").end());
  });
  receivedBytes = 0;

  static async start(): Promise<Collector> {
    const collector = new Collector();
    await once(collector.#server.listen(0, "127.0.0.1"), "listening");
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await once(this.#server.close(), "close");
  }
}

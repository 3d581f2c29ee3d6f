import * as net from "node:net";

/** A TCP connection that says exactly what a test wants, and keeps what it hears. */
export class RawConnection implements Disposable {
  readonly socket: net.Socket;
  #received = Buffer.alloc(0);
  closed = false;

  constructor(endpoint: string) {
    const { port, hostname } = new URL(endpoint);
    this.socket = net.connect(Number(port), hostname).setNoDelay();
    this.socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
    });
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(bytes);
    return this;
  }

  get text(): string {
    return this.#received.toString("latin1");
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

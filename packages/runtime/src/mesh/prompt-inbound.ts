import { Transform } from "node:stream";
import type { Clock } from "@mecha/component";
import type { Inbound } from "./exchange.js";
import { InboundProxy } from "./inbound-proxy.js";

/** A request that is broken off when its sender sends nothing of its body for a while, though whoever reads it would take more. */
export class PromptInbound extends InboundProxy {
  readonly #idleMs: number;
  readonly #clock: Clock;
  #body: Transform | undefined;

  constructor(inner: Inbound, idleMs: number, clock: Clock) {
    super(inner);
    this.#idleMs = idleMs;
    this.#clock = clock;
  }

  override get body(): Inbound["body"] {
    // A WebSocket may be silent for as long as it likes.
    if (!this.inner.hasBody || this.inner.method === "CONNECT") return this.inner.body;
    this.#body ??= this.#watch();
    return this.#body;
  }

  #watch(): Transform {
    const { inner } = this;
    const body: Transform = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        wait();
        done(null, chunk);
      },
    });
    let cancel = () => {};
    const wait = () => {
      cancel();
      cancel = this.#clock.after(this.#idleMs, () => {
        // Nobody reads it: it is not the sender who is slow.
        if (body.readableLength > 0) return wait();
        inner.breakOff();
      });
    };
    wait();
    body.once("end", () => cancel());
    body.once("close", () => cancel());
    inner.onGone(() => cancel());
    return inner.body.pipe(body);
  }
}

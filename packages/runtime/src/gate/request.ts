import { Transform } from "node:stream";
import { ComponentError } from "@mecha/component";
import type { Inbound } from "../mesh/exchange.js";
import type { HeaderMap } from "../mesh/headers.js";
import { InboundProxy } from "../mesh/inbound-proxy.js";

/** What an app needs whatever it is: framing, negotiation, tracing, and the protocols' own. */
const always = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "baggage",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "te",
  "traceparent",
  "tracestate",
  "trailer",
  "user-agent",
]);

/** Leaves out what is not allowed. What Connect, gRPC and the runtime say stays. */
export function onlyHeaders(headers: HeaderMap, allowed: readonly string[]): HeaderMap {
  const kept = Object.entries(headers).filter(
    ([name]) => always.has(name) || allowed.includes(name) || /^(connect|grpc|mecha|sec-websocket)-/.test(name),
  );
  return Object.fromEntries(kept);
}

export function tooLarge(maxBytes: number): ComponentError {
  const message = `the request's body is larger than the ${maxBytes} bytes that this app takes`;
  return new ComponentError("TOO_LARGE", message, { metadata: { limit: String(maxBytes) } });
}

/** A request whose body may have `maxBytes`; once it has more its exchange is given up, as if the caller had gone, and `exceeded` is called. */
export function limitBody(inbound: Inbound, maxBytes: number, exceeded: () => void): Inbound {
  return new LimitedInbound(inbound, maxBytes, exceeded);
}

class LimitedInbound extends InboundProxy {
  readonly #maxBytes: number;
  readonly #exceeded: () => void;
  readonly #giveUp: (() => void)[] = [];
  #body: Transform | undefined;

  constructor(inner: Inbound, maxBytes: number, exceeded: () => void) {
    super(inner);
    this.#maxBytes = maxBytes;
    this.#exceeded = exceeded;
  }

  /** Read only once somebody asks for it, who by then wants to know when it is given up. */
  override get body(): Transform {
    this.#body ??= this.#limit();
    return this.#body;
  }

  #limit(): Transform {
    const { inner } = this;
    let size = 0;
    const body = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        size += chunk.byteLength;
        if (size <= this.#maxBytes) return done(null, chunk);
        inner.body.unpipe(body);
        for (const gone of this.#giveUp) gone();
        this.#exceeded();
      },
    });
    return inner.body.pipe(body);
  }

  override onGone(gone: () => void): void {
    this.#giveUp.push(gone);
    this.inner.onGone(gone);
  }
}

import type { Inbound, Outbound } from "./exchange.js";

/** How much of a body is kept, and of all bodies together, in bytes. */
const maxKeptBytes = 64 * 1024;
const maxKeptBytesInAll = 32 * 1024 * 1024;

/** What the bodies that are kept take together. */
export interface KeptBytes {
  used: number;
}

/** The body of a request on its way on. */
export interface Body {
  /** Whether the next attempt can have it: nothing of it has gone, or all that has is kept. */
  readonly whole: boolean;
  /** Sends it, from its begin, as it comes. */
  send(outbound: Outbound): void;
  /** Sends no more to there. */
  stop(outbound: Outbound): void;
  /** Keeps no more of it: no attempt follows. */
  release(): void;
}

/** A body that is sent once. */
export function sentOnce(inbound: Inbound): Body {
  return inbound.whole === undefined ? streamed(inbound) : inMemory(inbound.whole);
}

/** A body that can be sent again, if it is not too large. */
export function replayable(inbound: Inbound, inAll: KeptBytes): Body {
  return inbound.whole === undefined ? kept(inbound, inAll) : inMemory(inbound.whole);
}

/** A body that is there. */
function inMemory(bytes: Uint8Array): Body {
  return {
    whole: true,
    send(outbound) {
      outbound.body?.write(bytes);
      if (outbound.body !== undefined) outbound.finish({});
    },
    stop() {},
    release() {},
  };
}

function streamed(inbound: Inbound): Body {
  const { body } = inbound;
  let current: Outbound | undefined;
  return {
    whole: false,
    send(outbound) {
      current = outbound;
      if (outbound.body !== undefined) body.pipe(outbound.body, { end: false });
      body.once("end", () => {
        if (!inbound.cutShort) current?.finish(inbound.trailers());
      });
    },
    stop(outbound) {
      current = undefined;
      body.unpipe(outbound.body);
    },
    release() {},
  };
}

/** How long a sender may go on with a body that nobody wants any more, in ms. */
const unwantedBodyMs = 5_000;

/** What still comes of a body is read and dropped, for a while. */
export function dropRest(inbound: Inbound): void {
  const { body } = inbound;
  if (body.readableEnded || body.destroyed) return;
  body.resume();
  const timer = setTimeout(() => inbound.breakOff(), unwantedBodyMs);
  timer.unref();
  body.once("close", () => clearTimeout(timer));
}

/** A body whose begin is kept while it is sent, so that it can be sent again if that was all of it, or all that has come. */
function kept(inbound: Inbound, inAll: KeptBytes): Body {
  const { body } = inbound;
  let chunks: Buffer[] = [];
  let bytes = 0;
  let isLost = false;
  let isListening = false;
  let ended = false;
  let current: Outbound | undefined;

  const forget = () => {
    inAll.used -= bytes;
    bytes = 0;
    chunks = [];
  };
  const keep = (chunk: Buffer) => {
    if (bytes + chunk.byteLength > maxKeptBytes || inAll.used + chunk.byteLength > maxKeptBytesInAll) return lose();
    chunks.push(chunk);
    bytes += chunk.byteLength;
    inAll.used += chunk.byteLength;
  };
  const lose = () => {
    isLost = true;
    body.off("data", keep);
    forget();
  };

  return {
    get whole() {
      return !isLost;
    },
    send(outbound) {
      current = outbound;
      for (const chunk of chunks) outbound.body?.write(chunk);
      if (ended) return outbound.finish(inbound.trailers());
      if (!isListening) {
        isListening = true;
        body.on("data", keep);
        body.once("end", () => {
          if (inbound.cutShort) return;
          ended = true;
          current?.finish(inbound.trailers());
        });
      }
      if (outbound.body !== undefined) body.pipe(outbound.body, { end: false });
    },
    stop(outbound) {
      if (current === outbound) current = undefined;
      body.unpipe(outbound.body);
    },
    release() {
      if (!isLost) lose();
    },
  };
}

import type { Failure, Inbound, Outbound, OutboundRequest, Send } from "./exchange.js";

/** How long a sender may go on with a body that nobody wants any more, in ms. */
const unwantedBodyMs = 5_000;

/** How an attempt ended that brought no answer, and may be followed by another. */
export type Attempt = "answered" | "gone" | Failure;

/**
 * Passes one request on and its answer back: streams both ways as they come, so that a slow reader slows the sender down and nothing is kept.
 * Resolves once the answer has begun to go back, or with why there is none; then nothing was answered and, if `bodyUsed` says false, no byte of
 * the body was taken. `over` is called when the exchange is, however it ended; perhaps more than once.
 */
export function relay(
  inbound: Inbound,
  request: OutboundRequest,
  send: Send,
  over: () => void = () => {},
): Promise<{ attempt: Attempt; bodyUsed: boolean }> {
  return new Promise((resolve) => {
    let bodyUsed = false;
    let settled = false;
    let finished = false;
    const settle = (attempt: Attempt) => {
      settled = true;
      resolve({ attempt, bodyUsed });
    };

    const pipeBody = () => {
      if (bodyUsed || !inbound.hasBody) return;
      bodyUsed = true;
      inbound.body.pipe(outbound.body, { end: false });
      inbound.body.once("end", () => outbound.finish(inbound.trailers()));
    };
    /** The other side answered without the body, or with a part of it: what still comes is read and dropped, for a while. */
    const dropBody = () => {
      if (!inbound.hasBody || inbound.body.readableEnded || inbound.body.destroyed) return;
      inbound.body.unpipe(outbound.body);
      inbound.body.resume();
      const timer = setTimeout(() => inbound.breakOff(), unwantedBodyMs);
      timer.unref();
      inbound.body.once("close", () => clearTimeout(timer));
    };

    const outbound: Outbound = send(request, {
      continued() {
        if (request.awaitsContinue && !bodyUsed && !inbound.responded) inbound.sendContinue();
        pipeBody();
      },
      information(status, headers) {
        if (!inbound.responded) inbound.sendInformation(status, headers);
      },
      responded({ status, headers, body, ends, trailers }) {
        const out = inbound.respond(status, headers, ends);
        if (!settled) settle("answered");
        const finish = () => {
          finished = true;
          over();
          if (!ends) inbound.finish(trailers());
          dropBody();
        };
        if (ends) {
          body.resume();
          finish();
        } else {
          body.pipe(out, { end: false });
          body.once("end", finish);
        }
      },
      failed(failure) {
        if (finished) return;
        over();
        if (bodyUsed) inbound.body.unpipe(outbound.body);
        if (!settled) settle(failure);
        else inbound.breakOff();
      },
    });
    inbound.onGone(() => {
      over();
      if (!settled) settle("gone");
      outbound.cancel();
    });
    if (!request.awaitsContinue) pipeBody();
  });
}

import { Readable } from "node:stream";
import { systemClock } from "@mecha/component";
import { type Body, dropRest, sentOnce } from "./body.js";
import type { Failure, Inbound, Outbound, OutboundRequest, Response, Send } from "./exchange.js";
import type { HeaderMap } from "./headers.js";

/** How long `expect: 100-continue` is waited for, in ms. */
const continueWithinMs = 1_000;

/** How an attempt ended: an answer went back, the caller had left, an answer was declined, or there was none. The last two may be followed by another. */
export type Attempt = "answered" | "gone" | "declined" | Failure;

/** What is asked and told while a request is passed on. */
export interface RelayOptions {
  /** The request's body. Default: it is sent as it comes. */
  readonly body?: Body;
  /** Whether an answer that begins goes back; one that does not is dropped. Default: every one does. */
  accept?(response: Response): boolean;
  /** Told once, when the exchange is over: the answer came whole, with its trailers; it broke off, or never came; or the caller left, or it was stopped. */
  over?(end: "whole" | "broken" | "given-up", trailers: HeaderMap): void;
  /** Calls back when the caller leaves. Default: asks the request. */
  onGone?(gone: () => void): void;
  /** Is given what ends the exchange at once, with `error` if there was no answer yet. */
  stoppable?(stop: (error: Error) => void): void;
}

/**
 * Passes one request on and its answer back: streams both ways as they come, so that a slow reader slows the sender down and nothing is kept but
 * what the body keeps. Resolves once the answer has begun to go back, or with why there is none; then nothing was answered.
 */
export function relay(
  inbound: Inbound,
  request: OutboundRequest,
  send: Send,
  options: RelayOptions = {},
): Promise<{ attempt: Attempt }> {
  return new Promise((resolve) => {
    const body = options.body ?? sentOnce(inbound);
    let isSending = false;
    let settled = false;
    let isOver = false;
    const settle = (attempt: Attempt) => {
      settled = true;
      resolve({ attempt });
    };
    const end = (how: "whole" | "broken" | "given-up", trailers: HeaderMap = {}) => {
      if (isOver) return;
      isOver = true;
      cancelWait();
      options.over?.(how, trailers);
    };

    const sendBody = () => {
      if (isSending || isOver || !inbound.hasBody) return;
      isSending = true;
      body.send(outbound);
    };
    const stopBody = () => {
      if (isSending) body.stop(outbound);
    };
    /** The other side answered without the body, or with a part of it: what still comes is read and dropped, for a while. */
    const dropBody = () => {
      if (!inbound.hasBody || inbound.whole !== undefined || inbound.body.readableEnded) return;
      stopBody();
      body.release();
      // It takes no end: the next request on the same connection would be read as the rest of this one.
      outbound.cancel();
      dropRest(inbound);
    };
    /** Nothing more is wanted of this attempt. */
    const giveUp = (attempt: Attempt) => {
      stopBody();
      end("given-up");
      if (!settled) settle(attempt);
      outbound.cancel();
    };

    const fail = (failure: Failure) => {
      if (isOver) return;
      stopBody();
      end("broken");
      if (!settled) settle(failure);
      else inbound.breakOff();
    };
    const answerWith = ({ status, headers, body: answer, trailers, cutShort }: Response) => {
      if (!(answer instanceof Readable)) {
        inbound.respondWhole(status, headers, answer);
        settle("answered");
        end("whole", trailers());
        dropBody();
        return;
      }
      const out = inbound.respond(status, headers);
      settle("answered");
      answer.pipe(out, { end: false });
      answer.once("end", () => {
        if (cutShort?.() === true) return;
        const last = trailers();
        end("whole", last);
        inbound.finish(last);
        dropBody();
      });
    };

    let cancelWait = () => {};
    const continued = () => {
      cancelWait();
      if (isOver) return;
      if (request.awaitsContinue && !isSending && !inbound.responded) inbound.sendContinue();
      sendBody();
    };
    const outbound: Outbound = send(request, {
      continued,
      information(status, headers) {
        if (isOver || inbound.responded) return;
        try {
          inbound.sendInformation(status, headers);
        } catch {
          // It cannot be written, and may be lost: it is a hint.
        }
      },
      responded(response) {
        if (isOver) return;
        if (options.accept?.(response) === false) return giveUp("declined");
        try {
          answerWith(response);
        } catch (error) {
          // It cannot be written.
          fail({ error: error instanceof Error ? error : new Error(String(error)), untouched: false });
          outbound.cancel();
        }
      },
      failed: fail,
    });
    const onGone = options.onGone ?? ((gone: () => void) => inbound.onGone(gone));
    onGone(() => giveUp("gone"));
    options.stoppable?.((error) => {
      if (isOver) return;
      const wasAnswered = settled;
      giveUp({ error, untouched: false });
      if (wasAnswered) inbound.breakOff();
    });
    if (!request.awaitsContinue) sendBody();
    // RFC 9110, section 10.1.1: who never says it must not be waited for.
    else if (request.method !== "CONNECT")
      cancelWait = systemClock.after(continueWithinMs, () => settled || continued());
  });
}

import { createHash } from "node:crypto";
import {
  type Clock,
  createInputQueue,
  type Endpoint,
  type EndpointRequest,
  type EndpointResponse,
  type InputEvent,
  type InputQueue,
  type Logger,
} from "@mecha/component";
import type { WebhookConfig } from "./config.js";
import { createDoneRequests } from "./done.js";
import { createVerifier } from "./signature.js";

/** Where senders post, and the events that they become. */
export interface WebhookEndpoint {
  readonly endpoint: Endpoint;
  readonly queue: InputQueue;
  close(): void;
}

/**
 * A sender is answered 2xx once the app has acked the event, so nothing that was answered is lost: until then it is the sender's, who sends again. The one
 * retry layer is the sender's.
 */
export function createEndpoint(
  config: WebhookConfig,
  { clock, logger }: { clock: Clock; logger: Logger },
): WebhookEndpoint {
  const verify = createVerifier(config);
  const done = createDoneRequests(config.toleranceMs);
  const waiting = new Map<InputEvent, (answer: EndpointResponse) => void>();
  const answer = (event: InputEvent, response: EndpointResponse) => {
    waiting.get(event)?.(response);
    waiting.delete(event);
  };
  const queue = createInputQueue({
    clock,
    onSettled: (event, outcome) =>
      answer(event, outcome.type === "ack" ? respond(200, "done") : respond(422, "the app refused it")),
    onRetry(event, afterMs) {
      answer(event, later("the app could not do it now", Math.ceil(afterMs / 1000)));
      return false;
    },
  });

  /** Hands an event to the app; resolves with what came of it. */
  const handOver = async (event: InputEvent, signal: AbortSignal): Promise<EndpointResponse> => {
    const { promise, resolve } = Promise.withResolvers<EndpointResponse>();
    waiting.set(event, resolve);
    const giveUp = () => {
      queue.withdraw(event);
      answer(event, later("the app did not ack in time", 1));
    };
    const cancel = clock.after(config.timeoutMs, giveUp);
    signal.addEventListener("abort", giveUp, { once: true });
    queue.put(event);
    try {
      return await promise;
    } finally {
      cancel();
      signal.removeEventListener("abort", giveUp);
    }
  };

  return {
    queue,
    endpoint: {
      maxBodyBytes: config.maxBodyBytes,
      async handle(request) {
        if (request.method !== "POST") return { ...respond(405, "post it"), headers: { allow: "POST", ...text } };
        const now = clock.now();
        const verified = verify(request, now);
        if (!verified.ok) {
          logger.warn("a request was refused", { reason: verified.reason });
          return respond(401, verified.reason);
        }
        if (done.has(verified.signature, now)) return respond(200, "done before");
        if (!queue.consumed) return later("nobody takes it now", 5);
        if (waiting.size >= config.maxWaiting) return later("too many are waiting", 1);
        if (request.signal.aborted) return later("the sender is gone", 1);
        const response = await handOver(toEvent(config, request, verified.id, now), request.signal);
        if (response.status === 200) done.add(verified.signature, clock.now());
        return response;
      },
    },
    close() {
      for (const event of waiting.keys()) answer(event, later("the runtime is stopping", 1));
      queue.close();
    },
  };
}

const text = { "content-type": "text/plain; charset=utf-8" };

const respond = (status: number, body: string): EndpointResponse => ({ status, headers: text, body: `${body}\n` });

const later = (why: string, seconds: number): EndpointResponse => {
  return { ...respond(503, why), headers: { ...text, "retry-after": String(Math.max(1, seconds)) } };
};

function toEvent(
  { forwardHeaders }: WebhookConfig,
  { path, headers, body }: EndpointRequest,
  id: string | undefined,
  now: number,
): InputEvent {
  const metadata: Record<string, string> = { path };
  for (const name of forwardHeaders) {
    const value = headers[name];
    if (value !== undefined) metadata[`header.${name}`] = value;
  }
  return {
    // A sender that sends again sends the same body.
    id: id?.slice(0, 256) || createHash("sha256").update(body).digest("hex"),
    time: now,
    data: body,
    contentType: headers["content-type"] ?? "",
    metadata,
  };
}

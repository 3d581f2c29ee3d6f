import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type Event,
  type Open,
  type SubscribeRequest,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "@mecha/api/pubsub";
import type { Clock } from "@mecha/component";
import { createDispatcher, type Dispatcher } from "../../delivery/dispatcher.js";
import { Outbox } from "../../delivery/outbox.js";
import { badRequest, Violations } from "../validation.js";
import { readEvent, toDelivery, toResults, toSettingsMessage } from "./convert.js";
import { deliveryIdsOf } from "./delivery-id.js";
import type { Groups, OpenGroup } from "./group.js";
import { toCount, toDisposition, toExtension } from "./validate.js";

/** What a subscription needs of the runtime. */
export interface SubscriptionContext {
  readonly groups: Groups;
  readonly clock: Clock;
  onSourceError(error: unknown): void;
}

/** Answers to `ack` and `extend` that may wait for the component at a time; then no more requests are read. */
const maxPendingAnswers = 256;

/** Serves one Subscribe stream: from `open` until the caller goes, or the runtime drains. */
export async function* subscribe(
  requests: AsyncIterable<SubscribeRequest>,
  context: Pick<HandlerContext, "signal">,
  subscription: SubscriptionContext,
): AsyncGenerator<SubscribeResponse> {
  const incoming = requests[Symbol.asyncIterator]();
  const open = await readOpen(incoming);
  const credit = toCredit(open);
  const group = await subscription.groups.open(open, context.signal);
  const { live, serve } = group.binding;
  const outbox = new Outbox<SubscribeResponse>();
  const dispatcher = createDispatcher<Event>({
    source: serve.consume(group.call),
    policy: group.settings,
    credit,
    clock: subscription.clock,
    idOf: deliveryIdsOf(group.call.topic, group.call.group),
    read(payload) {
      const event = readEvent(payload);
      return group.wants(event) ? event : undefined;
    },
    deliver(deliveries) {
      const messages = deliveries.map((delivery) => toDelivery(delivery, group.call.topic));
      return outbox.put(respond({ case: "deliveries", value: { deliveries: messages } }));
    },
    onSourceError: subscription.onSourceError,
  });

  const answers = new AnswerQueue(outbox);
  const leave = live.enter();
  // Whoever goes hands back at once, even if nobody reads the stream to its end.
  const gone = () => {
    outbox.end();
    void dispatcher.close();
  };
  context.signal.addEventListener("abort", gone, { once: true });
  const drain = () => void drainThen(dispatcher, answers, live.retired.reason);
  if (live.retired.aborted) drain();
  else live.retired.addEventListener("abort", drain, { once: true });
  live.expired.addEventListener("abort", () => outbox.fail(live.retired.reason), { once: true });
  try {
    yield opened(group);
    void dispatcher.run();
    void serveRequests(incoming, dispatcher, answers, outbox).then(gone);
    yield* outbox;
  } finally {
    context.signal.removeEventListener("abort", gone);
    live.retired.removeEventListener("abort", drain);
    await dispatcher.close();
    leave();
  }
}

async function readOpen(incoming: AsyncIterator<SubscribeRequest>): Promise<Open> {
  const first = await incoming.next();
  if (first.done !== true && first.value.message.case === "open") return first.value.message.value;
  const what = first.done === true ? "the stream ended" : `the first message is ${first.value.message.case ?? "empty"}`;
  throw badRequest([{ field: "message", description: `must be open at first, but ${what}` }]);
}

function toCredit(open: Open): { maxItems: number; maxBytes: number } {
  const violations = new Violations();
  const maxItems = toCount(open.maxInFlight, [1, 10_000], 64, "open.max_in_flight", violations);
  const bytes = Number(open.maxInFlightBytes);
  const maxBytes = toCount(bytes, [1024, 256 * 1024 * 1024], 16 * 1024 * 1024, "open.max_in_flight_bytes", violations);
  violations.throwIfAny();
  return { maxItems, maxBytes };
}

/** Takes what the app says, in its order, until it says no more (then nothing more can be settled) or makes a mistake. */
async function serveRequests(
  incoming: AsyncIterator<SubscribeRequest>,
  dispatcher: Dispatcher,
  answers: AnswerQueue,
  outbox: Outbox<SubscribeResponse>,
): Promise<void> {
  try {
    for (;;) {
      const next = await incoming.next();
      if (next.done === true) break;
      await answers.add(settle(next.value, dispatcher));
    }
    await answers.flushed();
  } catch (error) {
    outbox.fail(error);
  }
}

/** Puts answers in the order of their requests, while the component settles several at once. */
class AnswerQueue {
  #pending = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(readonly outbox: Outbox<SubscribeResponse>) {}

  /** Resolves when another request may be read; rejects with a mistake of this one or of one before. */
  async add(answer: Promise<SubscribeResponse>): Promise<void> {
    answer.catch(() => {});
    this.#pending += 1;
    this.#tail = this.#tail.then(async () => {
      await this.outbox.put(await answer);
      this.#pending -= 1;
    });
    this.#tail.catch((error: unknown) => this.outbox.fail(error));
    if (this.#pending >= maxPendingAnswers) await this.#tail;
  }

  /** Resolves when every answer was put. */
  flushed(): Promise<void> {
    return this.#tail;
  }
}

async function settle({ message }: SubscribeRequest, dispatcher: Dispatcher): Promise<SubscribeResponse> {
  const violations = new Violations();
  switch (message.case) {
    case "ack": {
      const disposition = toDisposition(message.value, "ack.", violations);
      violations.throwIfAny();
      const { deliveryIds } = message.value;
      const results = toResults(deliveryIds, await dispatcher.settle(deliveryIds, disposition));
      return respond({ case: "ackResult", value: { results } });
    }
    case "extend": {
      const timeoutMs = toExtension(message.value, "extend.", violations);
      violations.throwIfAny();
      const { deliveryIds } = message.value;
      const results = toResults(deliveryIds, await dispatcher.extend(deliveryIds, timeoutMs));
      return respond({ case: "ackResult", value: { results } });
    }
    case "open":
      throw badRequest([{ field: "message", description: "is open a second time; a stream opens once" }]);
    default:
      throw badRequest([{ field: "message", description: "is none of ack and extend; exactly one must be set" }]);
  }
}

/** Tells the app, waits until what is in flight is settled, and ends the stream with why. */
async function drainThen(dispatcher: Dispatcher, answers: AnswerQueue, reason: unknown): Promise<void> {
  dispatcher.stop();
  await answers.outbox.put(respond({ case: "draining", value: {} }));
  await dispatcher.idle;
  await answers.flushed().catch(() => {});
  answers.outbox.fail(reason);
}

function opened({ settings, call }: OpenGroup): SubscribeResponse {
  const group = call.group.slice(call.group.indexOf("/") + 1);
  return respond({ case: "opened", value: { settings: toSettingsMessage(settings), group } });
}

function respond(message: NonNullable<MessageInitShape<typeof SubscribeResponseSchema>["message"]>): SubscribeResponse {
  return create(SubscribeResponseSchema, { message });
}

import type { DeliveryResult, Prolong, Settle } from "@mecha/api/pubsub";
import type { AppHealth } from "../app/health.js";
import { badRequest, Violations } from "../blocks/validation.js";
import type { LiveComponent } from "../components/live.js";
import { createDispatcher, type Delivery, type Dispatcher, type DispatcherOptions } from "./dispatcher.js";
import { Outgoing } from "./outgoing.js";
import { toDisposition, toExtension, toResults } from "./settlements.js";

/** What an app says on a stream, whatever the block: `open` first and once, then `ack` and `extend`. */
export interface StreamRequest<Open> {
  readonly message:
    | { readonly case: "open"; readonly value: Open }
    | { readonly case: "ack"; readonly value: Settle }
    | { readonly case: "extend"; readonly value: Prolong }
    | { readonly case: undefined; readonly value?: undefined };
}

/** A stream that was opened: what flows on it, and how a block says it. */
export interface OpenStream<Item, Response> extends Omit<DispatcherOptions<Item>, "deliver"> {
  readonly live: LiveComponent;
  /** The first response. */
  readonly opened: Response;
  deliveries(deliveries: Delivery<Item>[]): Response;
  ackResult(results: DeliveryResult[]): Response;
  draining(): Response;
}

/** Serves one stream of deliveries: from `open` until the caller goes, or the runtime drains. An app that is not healthy gets none meanwhile. */
export async function* serveStream<Open, Item, Response>(
  requests: AsyncIterable<StreamRequest<Open>>,
  signal: AbortSignal,
  health: AppHealth,
  openStream: (open: Open) => Promise<OpenStream<Item, Response>>,
): AsyncGenerator<Response> {
  const incoming = requests[Symbol.asyncIterator]();
  const stream = await openStream(await readOpen(incoming));
  const { live } = stream;
  const outgoing = new Outgoing<Response>();
  const dispatcher = createDispatcher<Item>({
    ...stream,
    deliver: (deliveries) => outgoing.put(stream.deliveries(deliveries)),
  });

  const followHealth = () => (health.healthy ? dispatcher.resume() : dispatcher.pause());
  const stopFollowing = health.onTurn(followHealth);
  const answers = new AnswerQueue(outgoing);
  const leave = live.enter();
  // Whoever goes hands back at once, even if nobody reads the stream to its end.
  const gone = () => {
    outgoing.end();
    void dispatcher.close();
  };
  signal.addEventListener("abort", gone, { once: true });
  const drain = async () => {
    dispatcher.stop();
    await outgoing.put(stream.draining());
    await dispatcher.idle;
    await answers.flushed().catch(() => {});
    outgoing.fail(live.retired.reason);
  };
  if (live.retired.aborted) void drain();
  else live.retired.addEventListener("abort", drain, { once: true });
  live.expired.addEventListener("abort", () => outgoing.fail(live.retired.reason), { once: true });
  const answer = async (request: StreamRequest<Open>) => stream.ackResult(await settle(request, dispatcher));
  try {
    yield stream.opened;
    followHealth();
    void dispatcher.run();
    void serveRequests(incoming, answer, answers, outgoing).then(gone);
    yield* outgoing;
  } finally {
    stopFollowing();
    signal.removeEventListener("abort", gone);
    live.retired.removeEventListener("abort", drain);
    await dispatcher.close();
    leave();
  }
}

async function readOpen<Open>(incoming: AsyncIterator<StreamRequest<Open>>): Promise<Open> {
  const first = await incoming.next();
  if (first.done !== true && first.value.message.case === "open") return first.value.message.value;
  const what = first.done === true ? "the stream ended" : `the first message is ${first.value.message.case ?? "empty"}`;
  throw badRequest([{ field: "message", description: `must be open at first, but ${what}` }]);
}

/** Takes what the app says, in its order, until it says no more (then nothing more can be settled) or makes a mistake. */
async function serveRequests<Request, Response>(
  incoming: AsyncIterator<Request>,
  answer: (request: Request) => Promise<Response>,
  answers: AnswerQueue<Response>,
  outgoing: Outgoing<Response>,
): Promise<void> {
  try {
    for (;;) {
      const next = await incoming.next();
      if (next.done === true) break;
      await answers.add(answer(next.value));
    }
    await answers.flushed();
  } catch (error) {
    outgoing.fail(error);
  }
}

/** Answers to `ack` and `extend` that may wait for the component at a time; then no more requests are read. */
const maxPendingAnswers = 256;

/** Puts answers in the order of their requests, while the component settles several at once. */
class AnswerQueue<Response> {
  #pending = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(readonly outgoing: Outgoing<Response>) {}

  /** Resolves when another request may be read; rejects with a mistake of this one or of one before. */
  async add(answer: Promise<Response>): Promise<void> {
    answer.catch(() => {});
    this.#pending += 1;
    this.#tail = this.#tail.then(async () => {
      await this.outgoing.put(await answer);
      this.#pending -= 1;
    });
    this.#tail.catch((error: unknown) => this.outgoing.fail(error));
    if (this.#pending >= maxPendingAnswers) await this.#tail;
  }

  /** Resolves when every answer was put. */
  flushed(): Promise<void> {
    return this.#tail;
  }
}

async function settle<Open>({ message }: StreamRequest<Open>, dispatcher: Dispatcher): Promise<DeliveryResult[]> {
  const violations = new Violations();
  switch (message.case) {
    case "ack": {
      const disposition = toDisposition(message.value, "ack.", violations);
      violations.throwIfAny();
      const { deliveryIds } = message.value;
      return toResults(deliveryIds, await dispatcher.settle(deliveryIds, disposition));
    }
    case "extend": {
      const timeoutMs = toExtension(message.value, "extend.", violations);
      violations.throwIfAny();
      const { deliveryIds } = message.value;
      return toResults(deliveryIds, await dispatcher.extend(deliveryIds, timeoutMs));
    }
    case "open":
      throw badRequest([{ field: "message", description: "is open a second time; a stream opens once" }]);
    default:
      throw badRequest([{ field: "message", description: "is none of ack and extend; exactly one must be set" }]);
  }
}

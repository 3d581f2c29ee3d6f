import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Delivery,
  Disposition,
  type OpenSchema,
  type SubscribeRequest,
  SubscribeRequestSchema,
} from "@mecha/api/pubsub";
import { CliError, exitCodes } from "../errors.js";
import { print, printJson } from "../terminal/print.js";
import { type PubSubFlags, type PubSubRpc, withPubSub } from "./client.js";
import { formatEvent, toCloudEvent } from "./event.js";

interface SubscribeFlags extends PubSubFlags {
  group?: string | undefined;
  filter?: string | undefined;
  from?: "earliest" | Date | undefined;
  limit?: number | undefined;
  once?: true | undefined;
  ack: boolean;
}

/** Events that may be here without being acked. */
const maxInFlight = 64;
const maxLooked = 1_000;

/** Prints events as they come. */
export async function subscribe(topic: string, flags: SubscribeFlags): Promise<void> {
  if (!flags.ack && flags.group === undefined) {
    throw new CliError(
      "--no-ack is for a --group: without one nobody else gets what comes here, and there is nothing to hand back",
      exitCodes.usage,
    );
  }
  await withPubSub(flags, async (pubsub) => {
    const limit = flags.once ? 1 : (flags.limit ?? Number.POSITIVE_INFINITY);
    const asJson = flags.json === true || process.stdout.isTTY !== true;
    let printed = 0;
    for await (const delivery of deliveriesOf(pubsub, topic, flags, limit)) {
      const { event, orderingKey } = delivery;
      if (event === undefined) continue;
      if (asJson) await printJson(toCloudEvent(event, orderingKey));
      else await print(formatEvent(event, delivery));
      printed += 1;
    }
    if (printed < limit) throw new CliError("the runtime ended the subscription");
  });
}

/**
 * The first `limit` events of a stream. Each is acked when the next is asked for: it was printed then. What was not acked is handed back by the
 * runtime when the stream ends.
 */
async function* deliveriesOf(
  pubsub: PubSubRpc,
  topic: string,
  flags: SubscribeFlags,
  limit: number,
): AsyncGenerator<Delivery> {
  const sayings = new Sayings();
  sayings.say({ case: "open", value: toOpen(topic, flags, limit) });
  const looked: string[] = [];
  let keepAlive: NodeJS.Timeout | undefined;
  let count = 0;
  try {
    for await (const { message } of pubsub.subscribe(sayings)) {
      if (message.case === "opened" && !flags.ack) {
        const { ackTimeout } = message.value.settings ?? {};
        const extend = () => {
          if (looked.length > 0) sayings.say({ case: "extend", value: { deliveryIds: looked } });
        };
        // Looking costs no attempt, however long it takes.
        keepAlive = setInterval(extend, (ackTimeout ? durationMs(ackTimeout) : 30_000) / 3);
      }
      if (message.case !== "deliveries") continue;
      for (const delivery of message.value.deliveries) {
        if (count === limit) break;
        yield delivery;
        count += 1;
        if (flags.ack) sayings.say({ case: "ack", value: ackOf(delivery) });
        else looked.push(delivery.deliveryId);
        // The runtime ends the stream once it has taken what was said.
        if (count === limit) sayings.end();
      }
    }
  } finally {
    clearInterval(keepAlive);
    sayings.end();
  }
}

const ackOf = ({ deliveryId }: Delivery) => ({ deliveryIds: [deliveryId], disposition: Disposition.ACK });

function toOpen(topic: string, flags: SubscribeFlags, limit: number): MessageInitShape<typeof OpenSchema> {
  const { pubsub, group, filter, from } = flags;
  const hasSettings = filter !== undefined || from !== undefined;
  const position =
    from === "earliest"
      ? ({ case: "earliest", value: true } as const)
      : from === undefined
        ? { case: undefined }
        : ({ case: "time", value: timestampFromDate(from) } as const);
  return {
    pubsub,
    topic,
    ...(group === undefined ? { ephemeral: true } : { group }),
    // No more is taken from a group than will be printed.
    maxInFlight: Math.min(limit, flags.ack ? maxInFlight : maxLooked),
    ...(hasSettings && { settings: { filter: filter ?? "", start: { position } } }),
  };
}

type Message = NonNullable<MessageInitShape<typeof SubscribeRequestSchema>["message"]>;

/** What is said on a stream, as it is said. */
class Sayings implements AsyncIterable<SubscribeRequest> {
  #waiting: SubscribeRequest[] = [];
  #isOver: boolean = false;
  #wake = () => {};

  say(message: Message): void {
    this.#waiting.push(create(SubscribeRequestSchema, { message }));
    this.#wake();
  }

  /** Says no more. */
  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SubscribeRequest> {
    for (;;) {
      const messages = this.#waiting;
      this.#waiting = [];
      yield* messages;
      if (this.#waiting.length > 0) continue;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

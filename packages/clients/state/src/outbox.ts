import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { OutboxDeadLetter as OutboxDeadLetterMessage } from "@mecha/api/state";
import { plainCodec, toRpcOptions } from "@mecha/client";
import type { StateCallOptions } from "./options.js";
import type { Scope } from "./scope.js";

/** An event of a transaction that the pubsub it was for has refused for good. */
export interface OutboxDeadLetter<T = unknown> {
  readonly deadLetterId: string;
  readonly eventId: string;
  readonly topic: string;
  readonly orderingKey: string;
  readonly source: string;
  readonly type: string;
  readonly data: T;
  /** What the pubsub said. */
  readonly error: string;
  /** When its transaction was committed. */
  readonly commitTime: Date | undefined;
  /** When it was refused. */
  readonly time: Date | undefined;
}

/** Which outbox: of a store, for a pubsub. */
export interface OutboxOptions extends StateCallOptions {
  /** The pubsub component that the events are for. Default: the runtime's default. */
  pubsub?: string;
}

/** The outbox of a store, for events that go to another component. What waits only because that is away is not here: it goes by itself. */
export interface StateOutbox {
  /** Lists the events that were refused, oldest first. */
  deadLetters<T = unknown>(options?: OutboxOptions): AsyncIterable<OutboxDeadLetter<T>>;
  /** Hands them over again, once the reason is gone; resolves with how many there were. */
  requeueDeadLetters(ids: readonly string[] | "all", options?: OutboxOptions): Promise<number>;
  /** Forgets them: they are never published; resolves with how many there were. */
  dropDeadLetters(ids: readonly string[] | "all", options?: OutboxOptions): Promise<number>;
}

export function createStateOutbox(scope: Pick<Scope<never, unknown>, "rpc" | "store">): StateOutbox {
  const of = ({ store = scope.store, pubsub = "" }: OutboxOptions) => ({ store, pubsub });
  const select = (ids: readonly string[] | "all", options: OutboxOptions) => ({
    selection: { ...of(options), ...(ids === "all" ? { all: true } : { deadLetterIds: [...ids] }) },
  });
  return {
    async *deadLetters<T>(options: OutboxOptions = {}) {
      for (let pageToken = ""; ; ) {
        const page = await scope.rpc.listOutboxDeadLetters({ ...of(options), pageToken }, toRpcOptions(options));
        for (const message of page.deadLetters) yield await toDeadLetter<T>(message);
        if (page.nextPageToken === "") return;
        pageToken = page.nextPageToken;
      }
    },
    async requeueDeadLetters(ids, options = {}) {
      return Number((await scope.rpc.requeueOutboxDeadLetters(select(ids, options), toRpcOptions(options))).count);
    },
    async dropDeadLetters(ids, options = {}) {
      return Number((await scope.rpc.dropOutboxDeadLetters(select(ids, options), toRpcOptions(options))).count);
    },
  };
}

async function toDeadLetter<T>(message: OutboxDeadLetterMessage): Promise<OutboxDeadLetter<T>> {
  const { entry } = message;
  const event = entry?.event;
  const encoded = { value: event?.data ?? new Uint8Array(), contentType: event?.dataContentType ?? "" };
  const decode = async () => plainCodec.decode(encoded, `event "${event?.id ?? ""}"`);
  // What cannot be read is shown as its bytes.
  const data = await decode().catch(() => encoded.value);
  return {
    deadLetterId: message.deadLetterId,
    eventId: event?.id ?? "",
    topic: entry?.topic ?? "",
    orderingKey: entry?.orderingKey ?? "",
    source: event?.source ?? "",
    type: event?.type ?? "",
    // The type argument is the caller's claim about what was published.
    data: data as T,
    error: message.error,
    commitTime: message.commitTime && timestampDate(message.commitTime),
    time: message.time && timestampDate(message.time),
  };
}

import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { DeadLetter as DeadLetterMessage } from "@mecha/api/pubsub";
import { type CallOptions, plainCodec, toRpcOptions } from "@mecha/client";
import type { Scope } from "./scope.js";

/** An event that was given up for one group. */
export interface DeadLetter<T = unknown> {
  readonly deadLetterId: string;
  readonly eventId: string;
  readonly source: string;
  readonly type: string;
  readonly data: T;
  readonly topic: string;
  readonly orderingKey: string;
  /** How often it was delivered. */
  readonly attempts: number;
  /** What the app said last; "" if it never said anything. */
  readonly lastError: string;
  /** When it was given up. */
  readonly time: Date | undefined;
}

/** Whose dead letters. */
export interface DeadLetterOptions extends CallOptions {
  /** Default: the app id. */
  group?: string;
  /** The pubsub component. Default: the client's, else the runtime's default. */
  pubsub?: string;
}

/** Lists a group's dead letters, oldest first, page by page. */
export async function* listDeadLetters<T>(
  scope: Scope,
  topic: string,
  options: DeadLetterOptions,
): AsyncGenerator<DeadLetter<T>, void, undefined> {
  for (let pageToken = ""; ; ) {
    const request = { pubsub: options.pubsub ?? scope.pubsub, topic, group: options.group ?? "", pageToken };
    const page = await scope.rpc.listDeadLetters(request, toRpcOptions(options));
    for (const message of page.deadLetters) yield await toDeadLetter<T>(message);
    if (page.nextPageToken === "") return;
    pageToken = page.nextPageToken;
  }
}

async function toDeadLetter<T>(message: DeadLetterMessage): Promise<DeadLetter<T>> {
  const { event } = message;
  const eventId = event?.id ?? "";
  const encoded = { value: event?.data ?? new Uint8Array(), contentType: event?.dataContentType ?? "" };
  // What cannot be read may be why it is here: then its bytes are shown.
  const decode = async () => plainCodec.decode(encoded, `event "${eventId}"`);
  const data = await decode().catch(() => encoded.value);
  return {
    deadLetterId: message.deadLetterId,
    eventId,
    source: event?.source ?? "",
    type: event?.type ?? "",
    // The type argument is the caller's claim about what was published.
    data: data as T,
    topic: message.topic,
    orderingKey: message.orderingKey,
    attempts: message.attempts,
    lastError: message.lastError,
    time: message.time && timestampDate(message.time),
  };
}

/** Which dead letters a call is about: these, or all that the group has. */
export function toSelection(scope: Scope, topic: string, ids: readonly string[] | "all", options: DeadLetterOptions) {
  const of = { pubsub: options.pubsub ?? scope.pubsub, topic, group: options.group ?? "" };
  return { selection: ids === "all" ? { ...of, all: true } : { ...of, deadLetterIds: [...ids] } };
}

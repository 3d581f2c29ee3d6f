import { ComponentError, gone, type PublishOutcome, type PubSubEntry, publishInOrder } from "@mecha/component";
import type { Msg } from "@nats-io/transport-node";
import type { Connection } from "./connection.js";
import { refused, toComponentError, unavailable } from "./errors.js";
import { messageIdOf, toHeaders } from "./messages.js";
import { type Names, partitionOf } from "./names.js";
import type { Topology } from "./topology.js";

const mayBe = "the event may have been published; publish it again with the same id: it is stored once";
const noResponders = 503;

/** JetStream's answer to what was published. */
interface PublishAnswer {
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code: number; readonly description: string };
}

/** Publishes to the streams of topics. */
export class Publisher {
  readonly #connection: Connection;
  readonly #topology: Topology;
  readonly #names: Names;

  constructor(connection: Connection, topology: Topology, names: Names) {
    this.#connection = connection;
    this.#topology = topology;
    this.#names = names;
  }

  async publish(
    keyspace: string,
    entries: readonly PubSubEntry[],
    signal: AbortSignal | undefined,
  ): Promise<readonly PublishOutcome[]> {
    signal?.throwIfAborted();
    const topics = new Set(entries.map(({ topic }) => topic));
    await Promise.all([...topics].map((topic) => this.#topology.topic(this.#names.topic(keyspace, topic))));
    return publishInOrder(entries, (entry) => this.#publishOne(keyspace, entry, signal));
  }

  async #publishOne(keyspace: string, entry: PubSubEntry, signal: AbortSignal | undefined): Promise<PublishOutcome> {
    const { topic: name, payload, orderingKey, delayMs, ttlMs } = entry;
    const topic = this.#names.topic(keyspace, name);
    const messageId = messageIdOf(entry);
    const subject = topic.subject(partitionOf(orderingKey, messageId));
    const headers = toHeaders(messageId, { orderingKey, delayMs, ttlMs });
    const send = () => this.#connection.request(subject, payload, { headers, signal });
    try {
      let answer = await send();
      if (isUnheard(answer)) {
        // The stream was deleted, or has no leader: make it, or hear what is wrong.
        this.#topology.forget(topic);
        await this.#topology.topic(topic);
        answer = await send();
      }
      if (isUnheard(answer)) throw unavailable(`nobody stores topic "${name}" now; JetStream may be without a leader`);
      const { duplicate = false, error } = answer.json<PublishAnswer>();
      return error === undefined ? { type: "published", duplicate } : { type: "failed", error: refused(error) };
    } catch (error) {
      return { type: "failed", error: toFailure(error, signal) };
    }
  }
}

function isUnheard({ headers, data }: Msg): boolean {
  return data.byteLength === 0 && headers?.code === noResponders;
}

function toFailure(error: unknown, signal: AbortSignal | undefined): ComponentError {
  const known = toComponentError(error, mayBe);
  if (known instanceof ComponentError) return known;
  if (signal?.aborted !== true) throw error;
  return gone(error);
}

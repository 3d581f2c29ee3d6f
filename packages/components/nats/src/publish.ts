import { ComponentError, earlierFailed, type PublishOutcome, type PubSubEntry } from "@mecha/component";
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

/** Publishes entries: all at once, but those of one topic and ordering key one after the other, so that none is stored after one that failed. */
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
    const chains = new Map<string, { readonly id: string; readonly outcome: Promise<PublishOutcome> }>();
    const outcomes = await Promise.all(
      entries.map((entry) => {
        if (entry.orderingKey === "") return this.#publishOne(keyspace, entry, signal);
        const key = `${entry.topic}\n${entry.orderingKey}`;
        const earlier = chains.get(key);
        const outcome = this.#publishAfter(earlier, keyspace, entry, signal);
        chains.set(key, { id: entry.id, outcome });
        return outcome;
      }),
    );
    const [first] = outcomes;
    const isNothingDone = outcomes.every(
      (outcome) => outcome.type === "failed" && outcome.error.reason === "COMPONENT_UNAVAILABLE",
    );
    if (isNothingDone && first?.type === "failed") throw first.error;
    return outcomes;
  }

  async #publishAfter(
    earlier: { readonly id: string; readonly outcome: Promise<PublishOutcome> } | undefined,
    keyspace: string,
    entry: PubSubEntry,
    signal: AbortSignal | undefined,
  ): Promise<PublishOutcome> {
    const before = await earlier?.outcome;
    if (earlier === undefined || before?.type !== "failed") return this.#publishOne(keyspace, entry, signal);
    return { type: "failed", error: earlierFailed(entry.id, before.error.metadata.earlier ?? earlier.id) };
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
  return new ComponentError("CANCELED", "the caller has gone before the event was sent; it was not published", {
    cause: error,
  });
}

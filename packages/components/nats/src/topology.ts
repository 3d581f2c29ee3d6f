import type { GroupSettings } from "@mecha/component";
import { pubsubLimits } from "@mecha/component";
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  type JetStreamManager,
  type StreamConfig,
} from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { nanos } from "@nats-io/transport-node";
import type { Settings } from "./config.js";
import type { Connection, Live } from "./connection.js";
import { refusalCode, toComponentError } from "./errors.js";
import { type GroupNames, type Names, partitions, type TopicNames } from "./names.js";

/** `err_code` of a stream that exists with another configuration, and of a consumer that is not there. */
const streamNameInUse = 10058;
const consumerNotFound = 10014;

/** How many pull requests may wait at one consumer: runtimes × consumers in each. */
const maxWaiting = 8_192;

/** Makes what is missing in NATS: streams, buckets and consumers. What was made is remembered until it turns out to be gone. */
export class Topology {
  readonly #connection: Connection;
  readonly #settings: Settings;
  readonly #names: Names;
  readonly #topics = new Map<string, Promise<void>>();
  #bucket: { readonly live: Live; readonly kv: Promise<KV> } | undefined;
  #dead: Promise<void> | undefined;

  constructor(connection: Connection, settings: Settings, names: Names) {
    this.#connection = connection;
    this.#settings = settings;
    this.#names = names;
  }

  /** The topics that this runtime has used. */
  get topics(): readonly string[] {
    return [...this.#topics.keys()];
  }

  /** Asks JetStream; its refusals are ComponentErrors. */
  async manage<T>(act: (jsm: JetStreamManager) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { jsm } = await this.#connection.ready(signal);
    try {
      return await act(jsm);
    } catch (error) {
      throw toComponentError(error);
    }
  }

  /** The bucket of settings and counts. */
  async bucket(): Promise<KV> {
    const live = await this.#connection.ready();
    if (this.#bucket?.live !== live) {
      const kv = this.#openBucket(live);
      this.#bucket = { live, kv };
      kv.catch(() => {
        this.#bucket = undefined;
      });
    }
    try {
      return await this.#bucket.kv;
    } catch (error) {
      throw toComponentError(error);
    }
  }

  async #openBucket({ nc, jsm }: Live): Promise<KV> {
    const { replicas } = this.#settings;
    const kv = await new Kvm(nc).create(this.#names.bucket, { replicas, history: 1 });
    // It may be there with another number, since before the component was configured anew.
    const { streamInfo } = await kv.status();
    if (streamInfo.config.num_replicas !== replicas) {
      await jsm.streams.update(this.#names.bucketStream, { num_replicas: replicas });
    }
    return kv;
  }

  /** The stream of a topic. */
  topic({ stream, filter }: TopicNames): Promise<void> {
    return remember(this.#topics, stream, () =>
      this.#stream({
        name: stream,
        subjects: [filter],
        duplicate_window: nanos(pubsubLimits.dedupMs),
      }),
    );
  }

  /** The stream of a topic turned out to be gone. */
  forget({ stream }: TopicNames): void {
    this.#topics.delete(stream);
  }

  /** The stream of dead letters. */
  dead(): Promise<void> {
    this.#dead ??= this.#stream({ name: this.#names.deadStream, subjects: [this.#names.deadFilter] }).catch((error) => {
      this.#dead = undefined;
      throw error;
    });
    return this.#dead;
  }

  /** The consumers of a group; those that exist stay as they are. Resolves with how soon what is not acked comes again, in ms. */
  async group(names: GroupNames, settings: GroupSettings): Promise<number> {
    await this.topic(names.topic);
    const waits = await Promise.all(
      consumersOf(names, settings).map(({ name, subject }) => {
        const { redeliverAfterMs } = this.#settings;
        const config: Partial<ConsumerConfig> = {
          durable_name: name,
          ack_policy: AckPolicy.Explicit,
          ack_wait: nanos(redeliverAfterMs),
          max_deliver: -1,
          max_waiting: maxWaiting,
          // One at a time is what keeps a partition's order; otherwise the credit of who pulls is the limit.
          max_ack_pending: settings.ordered ? 1 : -1,
          filter_subject: subject,
          ...startOf(settings),
        };
        return this.manage((jsm) => this.#consumer(jsm, names.topic.stream, name, config));
      }),
    );
    return Math.min(...waits);
  }

  async #consumer(
    jsm: JetStreamManager,
    stream: string,
    name: string,
    config: Partial<ConsumerConfig>,
  ): Promise<number> {
    try {
      const { config: has } = await jsm.consumers.info(stream, name);
      return toMs(has.ack_wait);
    } catch (error) {
      if (refusalCode(error) !== consumerNotFound) throw error;
      const { config: has } = await jsm.consumers.add(stream, config);
      return toMs(has.ack_wait);
    }
  }

  async #stream(config: Pick<StreamConfig, "name" | "subjects"> & Partial<StreamConfig>): Promise<void> {
    const whole = { ...config, num_replicas: this.#settings.replicas, allow_direct: true };
    await this.manage(async (jsm) => {
      try {
        await jsm.streams.add(whole);
      } catch (error) {
        if (refusalCode(error) !== streamNameInUse) throw error;
        // Another number of replicas, since the component was configured anew.
        await jsm.streams.update(config.name, { num_replicas: whole.num_replicas });
      }
    });
  }
}

/** The consumers that a group has: one for each partition, or one and another for what it requeued. */
export function consumersOf(
  names: GroupNames,
  { ordered }: Pick<GroupSettings, "ordered">,
): readonly { readonly name: string; readonly subject: string }[] {
  if (!ordered) {
    return [
      { name: names.consumer(), subject: names.topic.filterForAll },
      { name: names.requeuedConsumer, subject: names.requeuedSubject() },
    ];
  }
  return Array.from({ length: partitions }, (_, partition) => ({
    name: names.consumer(partition),
    subject: names.topic.filterOf(partition),
  }));
}

function startOf({ start }: GroupSettings): Partial<ConsumerConfig> {
  if (start.type === "new") return { deliver_policy: DeliverPolicy.New };
  if (start.type === "earliest") return { deliver_policy: DeliverPolicy.All };
  return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(start.time).toISOString() };
}

const toMs = (nanoseconds: number | undefined) => (nanoseconds ?? 0) / 1_000_000;

/** What `make` made, or makes; a failure is not remembered. */
function remember(made: Map<string, Promise<void>>, name: string, make: () => Promise<void>): Promise<void> {
  let making = made.get(name);
  if (making === undefined) {
    making = make();
    made.set(name, making);
    making.catch(() => made.delete(name));
  }
  return making;
}

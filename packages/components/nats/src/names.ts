import { hash } from "node:crypto";
import type { GroupCall } from "@mecha/component";

/** How many partitions a topic has: what an ordered group takes one event at a time of. Never changes: keys would change places. */
export const partitions = 16;

/** The last token of a subject, for every group: no group is called so, since a group's name bears its app. */
const forAll = "all";
/** In the place of the partition: what a group that is not ordered has requeued. */
const requeued = "requeued";

/** Streams and consumers have names of at most 255 characters, and folders of their names. */
const maxNameLength = 180;

/** As one token of a subject, and part of a name: without dots, slashes and what is special to NATS. One to one. */
const encode = (text: string) =>
  text.replace(/[^A-Za-z0-9_-]/g, (character) => `=${Buffer.from(character).toString("hex").toUpperCase()}`);

/** A name that is too long ends with its hash. */
function clip(name: string): string {
  return name.length <= maxNameLength
    ? name
    : `${name.slice(0, maxNameLength - 33)}+${hash("sha256", name, "hex").slice(0, 32)}`;
}

/** A topic as NATS has it: a stream of its own. Its subjects end with a partition, and with whom an event is for. */
export interface TopicNames {
  readonly stream: string;
  /** All of the topic's subjects. */
  readonly filter: string;
  /** Those of events that are for every group. */
  readonly filterForAll: string;
  /** Those of a partition, for every group and for one. */
  filterOf(partition: number): string;
  /** An event for every group. */
  subject(partition: number): string;
}

/** A group as NATS has it. */
export interface GroupNames {
  readonly topic: TopicNames;
  /** The consumer of what is for every group, or, of an ordered one, of a partition. */
  consumer(partition?: number): string;
  /** Of a group that is not ordered: the consumer of what was requeued for it. */
  readonly requeuedConsumer: string;
  /** What was requeued for it: by its partition if it is ordered. */
  requeuedSubject(partition?: number): string;
  /** The key of its settings. */
  readonly settingsKey: string;
  /** The key of how often an event was delivered without an attempt; by the event's place in the stream. */
  freeKey(sequence: number | "*"): string;
  readonly deadSubject: string;
}

/** Names everything that a component keeps in NATS. */
export class Names {
  /** The key-value bucket of settings and counts. */
  readonly bucket: string;
  readonly bucketStream: string;
  /** The stream of dead letters, of all groups. */
  readonly deadStream: string;
  readonly deadFilter: string;

  constructor(readonly prefix: string) {
    this.bucket = prefix;
    this.bucketStream = `KV_${prefix}`;
    this.deadStream = `${prefix}+dead`;
    this.deadFilter = `${prefix}.dead.>`;
  }

  topic(keyspace: string, topic: string): TopicNames {
    const subject = `${this.prefix}.topic.${encode(keyspace)}.${encode(topic)}`;
    return {
      stream: clip(`${this.prefix}+topic+${encode(keyspace)}+${encode(topic)}`),
      filter: `${subject}.*.*`,
      filterForAll: `${subject}.*.${forAll}`,
      filterOf: (partition) => `${subject}.${partition}.*`,
      subject: (partition) => `${subject}.${partition}.${forAll}`,
    };
  }

  group({ keyspace, topic, group }: GroupCall): GroupNames {
    const own = encode(group);
    const tokens = `${encode(keyspace)}.${encode(topic)}.${own}`;
    const topicSubject = `${this.prefix}.topic.${encode(keyspace)}.${encode(topic)}`;
    return {
      topic: this.topic(keyspace, topic),
      consumer: (partition) => clip(own) + (partition === undefined ? "" : `+${partition}`),
      requeuedConsumer: `${clip(own)}+${requeued}`,
      requeuedSubject: (partition) => `${topicSubject}.${partition ?? requeued}.${own}`,
      settingsKey: `group.${tokens}`,
      freeKey: (sequence) => `free.${tokens}.${sequence}`,
      deadSubject: `${this.prefix}.dead.${tokens}`,
    };
  }

  /** Where runtimes are told of groups that were deleted. */
  get deletions(): string {
    return `${this.prefix}.deletions`;
  }

  /** Where a runtime is asked about leases that it holds. */
  holder(id: string): string {
    return `${this.prefix}.holder.${id}`;
  }
}

/** The partition of an event: by its ordering key, or spread. */
export function partitionOf(orderingKey: string, eventId: string): number {
  const text = orderingKey === "" ? eventId : orderingKey;
  // FNV-1a: all that is wanted is the same spread in every runtime and version.
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value % partitions;
}

import { hash } from "node:crypto";
import type { GroupCall } from "@mecha/component";

/** Queues and exchanges have names of at most 255 bytes; some get a suffix. */
const maxNameLength = 190;

/** A name that is too long ends with its hash. */
function clip(name: string): string {
  return name.length <= maxNameLength
    ? name
    : `${name.slice(0, maxNameLength - 33)}#${hash("sha256", name, "hex").slice(0, 32)}`;
}

/** The queues of a group. They bear its id, so that a group of the same name that comes after it has others. */
export interface GroupQueues {
  /** Its events. */
  readonly events: string;
  /** What it gave up. */
  readonly dead: string;
  /** What is to be tried again, by how long it waits. */
  waiting(levelMs: number): string;
}

/** A group as RabbitMQ has it. */
export interface GroupNames {
  /** A queue of one message: its id and settings. */
  readonly settings: string;
  /** Declared by whoever does something with the group that takes more than one step. */
  readonly lock: string;
  queues(id: string): GroupQueues;
}

/** Names everything that a component keeps in RabbitMQ. Slashes and exclamation marks are in no keyspace, topic, app or group. */
export class Names {
  constructor(readonly prefix: string) {}

  /** Where a keyspace's events are published; the routing key is the topic. */
  exchange(keyspace: string): string {
    return clip(`${this.prefix}/${keyspace}`);
  }

  /** Bound to the queues of all groups of a topic, and there as long as there is one. */
  marker(keyspace: string, topic: string): string {
    return clip(`${this.prefix}/${keyspace}/${topic}`);
  }

  group({ keyspace, topic, group }: GroupCall): GroupNames {
    const name = clip(`${this.prefix}/${keyspace}/${topic}/${group}`);
    return {
      settings: `${name}!settings`,
      lock: `${name}!lock`,
      queues: (id) => ({
        events: `${name}!${id}`,
        dead: `${name}!${id}!dead`,
        waiting: (levelMs) => `${name}!${id}!wait-${levelMs}`,
      }),
    };
  }
}

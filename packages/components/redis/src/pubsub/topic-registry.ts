import type { Redis } from "../redis.js";

/** The names of all topics, so that old events are forgotten also where nobody publishes or consumes any more. */
export class TopicRegistry {
  readonly #redis: Redis;
  readonly #key: string;
  /** Those that this process has named. */
  #known = new Set<string>();

  constructor(redis: Redis, keyPrefix: string) {
    this.#redis = redis;
    this.#key = `{${keyPrefix}}:topics`;
  }

  has(keyspace: string, topic: string): boolean {
    return this.#known.has(toName(keyspace, topic));
  }

  async add(keyspace: string, topic: string): Promise<void> {
    const name = toName(keyspace, topic);
    await this.#redis.write(["SADD", this.#key, name], { route: this.#key, repeatable: true });
    this.#known.add(name);
  }

  /** Names them again when they are next used: Redis may have lost what it was told. */
  forget(): void {
    this.#known = new Set();
  }

  /** All topics of all processes, some at a time. */
  async *all(): AsyncGenerator<{ readonly keyspace: string; readonly topic: string }> {
    let cursor = "0";
    do {
      const command = ["SSCAN", this.#key, cursor, "COUNT", "100"];
      const [next, names] = await this.#redis.read(
        command,
        { route: this.#key },
        (reply) => reply as [string, string[]],
      );
      for (const name of names) yield fromName(name);
      cursor = next;
    } while (cursor !== "0");
  }
}

/** No topic has a slash in its name. */
const toName = (keyspace: string, topic: string) => `${keyspace}/${topic}`;

function fromName(name: string): { keyspace: string; topic: string } {
  const slash = name.lastIndexOf("/");
  return { keyspace: name.slice(0, slash), topic: name.slice(slash + 1) };
}

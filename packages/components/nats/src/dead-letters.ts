import { ComponentError, type DeadLetter, type GroupCall } from "@mecha/component";
import type { StoredMsg } from "@nats-io/jetstream";
import type { Connection } from "./connection.js";
import { refusalCode, refused, toComponentError } from "./errors.js";
import type { Group } from "./groups.js";
import type { Held } from "./leases.js";
import { nextBySubject } from "./message-query.js";
import { readDeadHeaders, toDeadHeaders, toHeaders } from "./messages.js";
import { type Names, partitionOf } from "./names.js";
import type { Topology } from "./topology.js";

const idDigits = 16;
/** `err_code`s of a message that is not there (any more). */
const notFound = [10037, 10043, 10057];

const toId = (sequence: number) => String(sequence).padStart(idDigits, "0");
const toSequence = (id: string) => (/^[0-9]{16}$/.test(id) ? Number(id) : undefined);

/** What groups gave up: a stream of its own, with a subject for each group. */
export class DeadLetters {
  readonly #connection: Connection;
  readonly #topology: Topology;
  readonly #names: Names;

  constructor(connection: Connection, topology: Topology, names: Names) {
    this.#connection = connection;
    this.#topology = topology;
    this.#names = names;
  }

  /** Keeps an event that its group gave up; once, however often it is tried. */
  async bury({ group, sequence, payload, orderingKey, attempt }: Held, error: string): Promise<void> {
    await this.#topology.dead();
    const messageId = `${group.names.settingsKey}:${sequence}`;
    const headers = toDeadHeaders(messageId, { orderingKey, attempts: attempt, error });
    await this.#store(group.names.deadSubject, payload, headers);
  }

  async list(
    call: GroupCall,
    { after, limit, maxBytes }: { after: string | undefined; limit: number; maxBytes: number },
  ): Promise<{ deadLetters: DeadLetter[]; more: boolean }> {
    const deadLetters: DeadLetter[] = [];
    const from = after === undefined ? 0 : toSequence(after);
    if (from === undefined) return { deadLetters, more: false };
    let bytes = 0;
    for await (const message of this.#all(call, from)) {
      bytes += message.data.byteLength;
      if (deadLetters.length === limit || (bytes > maxBytes && deadLetters.length > 0))
        return { deadLetters, more: true };
      const { orderingKey, attempts, error } = readDeadHeaders(message.header);
      const { seq, data, time } = message;
      deadLetters.push({
        id: toId(seq),
        payload: data,
        orderingKey,
        attempts,
        lastError: error,
        time: time.getTime(),
      });
    }
    return { deadLetters, more: false };
  }

  /** Takes dead letters out, to deliver them again or to forget them; how many there were. */
  async exhume(group: Group, ids: readonly string[] | undefined, requeue: boolean): Promise<number> {
    const { call } = group;
    let count = 0;
    for await (const message of ids === undefined ? this.#allNow(call) : this.#some(call, ids)) {
      if (requeue) await this.#requeue(group, message);
      if (await this.#remove(message.seq)) count += 1;
    }
    return count;
  }

  /** Puts an event at the end of its topic, for its group alone. (Other ordered groups see it in the partition, and pass over it.) */
  async #requeue({ call, names, ordered }: Group, message: StoredMsg): Promise<void> {
    const { orderingKey } = readDeadHeaders(message.header);
    const messageId = `requeue:${message.seq}`;
    const subject = names.requeuedSubject(ordered ? partitionOf(orderingKey, messageId) : undefined);
    await this.#topology.topic(names.topic);
    await this.#store(subject, message.data, toHeaders(messageId, { orderingKey, group: call.group }));
  }

  async #store(subject: string, payload: Uint8Array, headers: ReturnType<typeof toHeaders>): Promise<void> {
    try {
      const answer = await this.#connection.request(subject, payload, { headers });
      if (answer.headers?.code === 503)
        throw new ComponentError("COMPONENT_UNAVAILABLE", "JetStream takes nothing now");
      const { error } = answer.json<{ error?: { err_code: number; description: string } }>();
      if (error !== undefined) throw refused(error);
    } catch (error) {
      throw toComponentError(error, "the dead letter may have been moved");
    }
  }

  async *#all(call: GroupCall, after: number): AsyncGenerator<StoredMsg> {
    await this.#topology.dead();
    const { deadSubject } = this.#names.group(call);
    for (let last = after; ; ) {
      const message = await this.#next(deadSubject, last + 1);
      if (message === undefined) return;
      last = message.seq;
      yield message;
    }
  }

  /** Those that are dead now; what is given up meanwhile is not among them. */
  async *#allNow(call: GroupCall): AsyncGenerator<StoredMsg> {
    await this.#topology.dead();
    const { state } = await this.#topology.manage((jsm) => jsm.streams.info(this.#names.deadStream));
    for await (const message of this.#all(call, 0)) {
      if (message.seq > state.last_seq) return;
      yield message;
    }
  }

  async *#some(call: GroupCall, ids: readonly string[]): AsyncGenerator<StoredMsg> {
    await this.#topology.dead();
    const { deadSubject } = this.#names.group(call);
    for (const id of ids) {
      const sequence = toSequence(id);
      const message = sequence === undefined ? undefined : await this.#next(deadSubject, sequence);
      if (message?.seq === sequence && message !== undefined) yield message;
    }
  }

  async #next(subject: string, from: number): Promise<StoredMsg | undefined> {
    return this.#topology.manage(async (jsm) => {
      const query = nextBySubject(from, subject);
      try {
        return (await jsm.streams.getMessage(this.#names.deadStream, query)) ?? undefined;
      } catch (error) {
        if (notFound.includes(refusalCode(error) ?? 0)) return undefined;
        throw error;
      }
    });
  }

  async #remove(sequence: number): Promise<boolean> {
    return this.#topology.manage(async (jsm) => {
      try {
        return await jsm.streams.deleteMessage(this.#names.deadStream, sequence, false);
      } catch (error) {
        if (notFound.includes(refusalCode(error) ?? 0)) return false;
        throw error;
      }
    });
  }
}

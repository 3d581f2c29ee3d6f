import { ComponentError, type StateRequestId, type StateResult, stateLimits } from "@mecha/component";

interface Answer {
  readonly name: string;
  readonly fingerprint: string;
  readonly results: StateResult[];
  readonly forgetTime: number;
  readonly bytes: number;
}

/** An estimate of the memory that it takes to remember an answer. */
export function rememberedBytes(keyspace: string, { id, fingerprint }: StateRequestId, results: number): number {
  return 300 + keyspace.length + id.length + fingerprint.length + 100 * results;
}

/** The answers to writes that may be sent again, for as long as the contract says. */
export class RequestIds {
  readonly #answers = new Map<string, Answer>();
  /** In the order of their time, since all are kept equally long; those before `#oldest` are forgotten. */
  #queue: Answer[] = [];
  #oldest = 0;
  #bytes = 0;

  /** An estimate of the memory that all take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The first answer to a request; undefined if it is new. */
  find(keyspace: string, { id, fingerprint }: StateRequestId): StateResult[] | undefined {
    const answer = this.#answers.get(nameOf(keyspace, id));
    if (answer === undefined || answer.fingerprint === fingerprint) return answer?.results;
    const message = `request_id ${JSON.stringify(id)} was used for another request; use a new one`;
    throw new ComponentError("BAD_REQUEST", message, {
      violations: [{ field: "request_id", description: "was used for another request within the last 10 minutes" }],
    });
  }

  remember(keyspace: string, requestId: StateRequestId, results: StateResult[], now: number): void {
    const { id, fingerprint } = requestId;
    const name = nameOf(keyspace, id);
    const bytes = rememberedBytes(keyspace, requestId, results.length);
    const answer = { name, fingerprint, results, forgetTime: now + stateLimits.requestIdTtlMs, bytes };
    this.#bytes += bytes;
    this.#answers.set(name, answer);
    this.#queue.push(answer);
  }

  /** Lets go of those whose time is over. */
  forget(now: number): void {
    for (let answer = this.#queue[this.#oldest]; answer !== undefined && answer.forgetTime <= now; ) {
      this.#answers.delete(answer.name);
      this.#bytes -= answer.bytes;
      answer = this.#queue[++this.#oldest];
    }
    // Half of it being forgotten, the copy costs each answer one move.
    if (this.#oldest * 2 <= this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#oldest);
    this.#oldest = 0;
  }
}

const nameOf = (keyspace: string, id: string) => `${keyspace}\0${id}`;

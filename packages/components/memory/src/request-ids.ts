import { ComponentError, type StateRequestId, type StateResult, stateLimits } from "@mecha/component";

interface Answer {
  readonly fingerprint: string;
  readonly results: StateResult[];
  readonly forgetTime: number;
  readonly bytes: number;
}

/** The answers to writes that may be sent again, for as long as the contract says. */
export class RequestIds {
  /** In the order of their time, since all are kept equally long. */
  readonly #answers = new Map<string, Answer>();
  /** An estimate of the memory they take. */
  bytes = 0;

  /** The first answer to a request; undefined if it is new. */
  find(keyspace: string, { id, fingerprint }: StateRequestId): StateResult[] | undefined {
    const answer = this.#answers.get(`${keyspace}\0${id}`);
    if (answer === undefined || answer.fingerprint === fingerprint) return answer?.results;
    throw new ComponentError(
      "BAD_REQUEST",
      `request_id ${JSON.stringify(id)} was used for another request; use a new one`,
      {
        violations: [{ field: "request_id", description: "was used for another request within the last 10 minutes" }],
      },
    );
  }

  remember(keyspace: string, { id, fingerprint }: StateRequestId, results: StateResult[], now: number): void {
    const bytes = 300 + keyspace.length + id.length + fingerprint.length + 100 * results.length;
    this.bytes += bytes;
    this.#answers.set(`${keyspace}\0${id}`, {
      fingerprint,
      results,
      forgetTime: now + stateLimits.requestIdTtlMs,
      bytes,
    });
  }

  /** Lets go of those whose time is over. */
  forget(now: number): void {
    for (const [id, { forgetTime, bytes }] of this.#answers) {
      if (forgetTime > now) return;
      this.#answers.delete(id);
      this.bytes -= bytes;
    }
  }
}

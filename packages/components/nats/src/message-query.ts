import type { MsgRequest } from "@nats-io/jetstream";

/** Asks for the first message of a subject from a sequence on; the server takes it since 2.9, the client's type does not know it. */
export function nextBySubject(seq: number, subject: string): MsgRequest {
  const query = { seq, next_by_subj: subject };
  return query;
}

import type { DatabaseSync } from "node:sqlite";
import { type StateRequestId, stateLimits } from "@mecha/component";
import { Refusal } from "./failure.js";

/** The answers that were given to requests with an id, kept in the same transaction as what the requests did. */
export interface Requests {
  /** The first answer to this request; undefined if it was not answered yet. */
  recall(scope: string, request: StateRequestId, now: number): unknown;
  remember(scope: string, request: StateRequestId, answer: unknown, now: number): void;
  /** Forgets at most `limit` requests whose time is over; how many. */
  forget(limit: number, now: number): number;
}

/** Makes {@link Requests} over the writer's connection. */
export function createRequests(db: DatabaseSync): Requests {
  const recall = db.prepare("SELECT fingerprint, answer FROM request WHERE scope = ? AND id = ? AND expire_time > ?");
  const remember = db.prepare(
    "INSERT OR REPLACE INTO request (scope, id, fingerprint, answer, expire_time) VALUES (?, ?, ?, ?, ?)",
  );
  const forget = db.prepare(`
    DELETE FROM request WHERE (scope, id) IN (SELECT scope, id FROM request WHERE expire_time <= ? LIMIT ?)
  `);
  return {
    recall(scope, { id, fingerprint }, now) {
      const known = recall.get(scope, id, now);
      if (known === undefined) return undefined;
      if (known.fingerprint !== fingerprint) {
        const description = "was used within the last 10 minutes for another request; use a new id for each request";
        throw new Refusal({
          reason: "BAD_REQUEST",
          message: `request_id ${description}`,
          violations: [{ field: "request_id", description }],
        });
      }
      return JSON.parse(String(known.answer));
    },
    remember(scope, { id, fingerprint }, answer, now) {
      remember.run(scope, id, fingerprint, JSON.stringify(answer), now + stateLimits.requestIdTtlMs);
    },
    forget(limit, now) {
      return Number(forget.run(now, limit).changes);
    },
  };
}

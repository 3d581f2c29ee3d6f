import { randomUUID } from "node:crypto";
import type { Lease } from "@mecha/component";
import { encodeInt8s } from "../binary.js";
import type { Connection, Row } from "../connection.js";
import type { StoredGroup } from "./groups.js";
import { toHandle } from "./handles.js";
import type { createSettlements } from "./settlements.js";

/** How many events one claim leases at most: few enough that nobody waits long behind it. */
const claimLimit = 256;

/** How much may be leased. */
export interface ClaimCall {
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly leaseMs: number;
}

/** The claims of one group in this process. */
export interface Claims {
  /** Leases what is ready; none does not mean that there is none. */
  claim(call: ClaimCall): Promise<readonly Lease[]>;
}

/** Makes claims. Those of one group wait for each other in the server, so here one goes at a time and holds one connection. */
export function createClaims(
  connection: Pick<Connection, "schema" | "query">,
  group: StoredGroup,
  settlements: Pick<ReturnType<typeof createSettlements>, "disclaim">,
): Claims {
  const { schema } = connection;
  const statements = {
    claim: {
      name: "pubsub_claim",
      text: `SELECT out_seq, out_attempt, out_key, out_payload FROM ${schema}.pubsub_claim($1, $2, $3, $4, $5)`,
    },
    payloads: {
      name: "pubsub_payloads",
      text: `SELECT seq, payload FROM ${schema}.pubsub_event WHERE topic = $1 AND seq = ANY ($2::bigint[])`,
    },
  };
  /** Claims whose answers were lost: what they leased has no holder. */
  const lost = new Set<string>();
  let last: Promise<unknown> = Promise.resolve();

  async function claimNow({ maxItems, maxBytes, leaseMs }: ClaimCall): Promise<readonly Lease[]> {
    if (lost.size > 0) {
      const tokens = [...lost];
      await settlements.disclaim(group, tokens);
      for (const token of tokens) lost.delete(token);
    }
    const token = randomUUID();
    try {
      const values = [group.id, token, Math.min(maxItems, claimLimit), maxBytes, Math.ceil(leaseMs)];
      const rows = await connection.query(statements.claim, values, { effect: "write" });
      const large = rows.flatMap(([seq, , , payload]) => (payload === null && seq != null ? [seq] : []));
      const payloads = new Map(large.length === 0 ? [] : await read(large));
      return rows.flatMap((row) => toLease(row, token, payloads));
    } catch (error) {
      lost.add(token);
      throw error;
    }
  }

  async function read(seqs: readonly string[]): Promise<[seq: string, payload: string][]> {
    const rows = await connection.query(statements.payloads, [group.topic, encodeInt8s(seqs)], { effect: "read" });
    return rows.map(([seq, payload]) => [seq ?? "", payload ?? ""]);
  }

  return {
    claim(call) {
      const claimed = last.then(() => claimNow(call));
      last = claimed.catch(() => {});
      return claimed;
    },
  };
}

function toLease(
  [seq, attempt, orderingKey, payload]: Row,
  token: string,
  payloads: ReadonlyMap<string, string>,
): Lease[] {
  if (seq == null) return [];
  // It cannot be gone: a lease keeps its event.
  const hex = payload ?? payloads.get(seq) ?? "";
  const handle = toHandle({ seq, token });
  return [
    { handle, attempt: Number(attempt), orderingKey: orderingKey ?? "", payload: Buffer.from(hex.slice(2), "hex") },
  ];
}

import {
  ComponentError,
  type Reason,
  type StateOperation,
  type StatePrecondition,
  type StateResult,
  type StateStore,
} from "@mecha/component";
import {
  asBuffer,
  decodePlainArray,
  encodeArray,
  encodeInt4s,
  encodeInt8s,
  encodeTexts,
  encodeUuids,
} from "./binary.js";
import type { Connection, Row, Statement } from "./connection.js";
import { bucketOf, locksOf } from "./state-locks.js";
import { lockClass } from "./state-schema.js";

type WriteCall = Parameters<StateStore["write"]>[0];
type SetOperation = StateOperation & { readonly type: "set" };
type DeleteOperation = StateOperation & { readonly type: "delete" };

/**
 * Writes to the state table. A single operation, the common case, is one statement; what is more goes through the function `state_write`,
 * which costs the server several times as much. Either way it is one round trip and a transaction of its own.
 */
export function createWriter(connection: Connection): (call: WriteCall) => Promise<StateResult[]> {
  const statements = writeStatements(connection.schema);

  return async (call) => {
    const [operation] = call.operations;
    if (operation === undefined) return [];
    if (call.operations.length > 1 || call.requestId !== undefined) return writeAll(call);
    switch (operation.type) {
      case "set":
        return [{ type: "set", etag: await set(call, operation) }];
      case "delete":
        return [{ type: "delete", existed: await remove(call, operation) }];
      case "check":
        return writeAll(call);
    }
  };

  async function set({ keyspace, signal }: WriteCall, operation: SetOperation): Promise<string> {
    const { key, precondition } = operation;
    const values = [
      bucketOf(keyspace, key),
      keyspace,
      key,
      asBuffer(operation.value),
      operation.contentType,
      operation.ttlMs ?? null,
    ];
    const run = (statement: Statement, ...more: (string | null)[]) =>
      connection.query(statement, [...values, ...more], { effect: "write", signal });
    let rows: Row[];
    if (precondition === undefined) rows = await run(statements.set);
    else if (precondition.type === "absent") rows = await run(statements.create);
    else rows = await run(statements.replace, expectedEtag(precondition));
    return rows[0]?.[0] ?? refuse(precondition, key, 0);
  }

  async function remove({ keyspace, signal }: WriteCall, { key, precondition }: DeleteOperation): Promise<boolean> {
    if (precondition?.type === "absent") refuse(precondition, key, 0);
    const values = [
      bucketOf(keyspace, key),
      keyspace,
      key,
      precondition === undefined ? null : expectedEtag(precondition),
    ];
    const rows = await connection.query(statements.remove, values, { effect: "write", signal });
    if (rows.length > 0) return true;
    return precondition === undefined ? false : refuse(precondition, key, 0);
  }

  async function writeAll({ keyspace, operations, requestId, signal }: WriteCall): Promise<StateResult[]> {
    const sets = operations.map((operation) => (operation.type === "set" ? operation : undefined));
    const conditions = operations.map(({ precondition }) => precondition);
    const isConditional = conditions.some((condition) => condition !== undefined);
    const values = [
      keyspace,
      encodeInt4s(locksOf(keyspace, operations, requestId)),
      encodeTexts(operations.map(({ type }) => type)),
      encodeTexts(operations.map(({ key }) => key)),
      encodeArray(
        "bytea",
        sets.map((operation) => operation?.value ?? null),
      ),
      encodeTexts(sets.map((operation) => operation?.contentType ?? null)),
      encodeInt8s(sets.map((operation) => operation?.ttlMs ?? null)),
      isConditional ? encodeTexts(conditions.map((condition) => condition?.type ?? null)) : null,
      isConditional
        ? encodeUuids(conditions.map((condition) => (condition === undefined ? null : expectedEtag(condition))))
        : null,
      requestId?.id ?? null,
      requestId?.fingerprint ?? null,
    ];
    const [row] = await connection.query(statements.writeAll, values, { effect: "write", signal });
    const [outcome, failing, results] = row ?? [];
    if (outcome === "reused") throw reusedRequestId();
    if (outcome !== "done" && outcome !== "repeated") {
      const index = Number(failing) - 1;
      return refuse(conditions[index], operations[index]?.key ?? "", index);
    }
    return decodePlainArray(results ?? "").map((result, index) => toResult(operations[index], result));
  }
}

function toResult(operation: StateOperation | undefined, result: string): StateResult {
  switch (operation?.type) {
    case "set":
      return { type: "set", etag: result };
    case "delete":
      return { type: "delete", existed: result === "true" };
    default:
      return { type: "check" };
  }
}

/** An etag that no item has: random ones are never all zero. */
const noEtag = "00000000-0000-0000-0000-000000000000";

/** The etag that must be found, or null if any will do. What is no etag of this store is that of no item. */
function expectedEtag(precondition: StatePrecondition): string | null {
  if (precondition.type !== "etag") return null;
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(precondition.etag) ? precondition.etag : noEtag;
}

const refusals = {
  etag: ["ETAG_MISMATCH", "has changed: read it again"],
  absent: ["ALREADY_EXISTS", "exists already"],
  exists: ["NOT_EXISTS", "does not exist"],
} satisfies Record<StatePrecondition["type"], [Reason, string]>;

function refuse(precondition: StatePrecondition | undefined, key: string, index: number): never {
  if (precondition === undefined) throw new Error("a write without a precondition was refused");
  const [reason, what] = refusals[precondition.type];
  const metadata = { key, operation_index: String(index) };
  throw new ComponentError(reason, `key ${JSON.stringify(key)} ${what}`, { metadata });
}

function reusedRequestId(): ComponentError {
  return new ComponentError("BAD_REQUEST", "the request id was used for another request within the last 10 minutes", {
    violations: [{ field: "request_id", description: "was used for another request" }],
  });
}

/**
 * The statements of single operations. Each takes the key's lock first, which the materialized `locked` sees to, and reads the clock after it.
 * Its snapshot is older than the lock, but the row that it changes is always the newest one: PostgreSQL waits for it and looks again.
 */
function writeStatements(schema: string) {
  const locked = `WITH locked AS MATERIALIZED (
    SELECT date_trunc('milliseconds', clock_timestamp()) AS instant FROM (SELECT pg_advisory_xact_lock(${lockClass(schema)}, $1::int)) l)`;
  const isLive = "s.gone IS NULL AND (s.expires IS NULL OR s.expires > locked.instant)";
  const insert = `${locked}
    INSERT INTO ${schema}.state AS s (keyspace, key, value, content_type, etag, updated, expires, xid)
    SELECT $2, $3, $4, $5, gen_random_uuid(), instant, instant + $6::float8 * interval '1 ms', pg_current_xact_id() FROM locked
    ON CONFLICT (keyspace, key) DO UPDATE SET value = excluded.value, content_type = excluded.content_type, etag = excluded.etag,
      updated = excluded.updated, expires = excluded.expires, gone = NULL, xid = excluded.xid`;
  return {
    set: { name: "state_set", text: `${insert} RETURNING s.etag` },
    create: {
      name: "state_create",
      text: `${insert} WHERE s.gone IS NOT NULL OR s.expires <= excluded.updated RETURNING s.etag`,
    },
    replace: {
      name: "state_replace",
      text: `${locked}
        UPDATE ${schema}.state s SET value = $4, content_type = $5, etag = gen_random_uuid(), updated = instant,
            expires = instant + $6::float8 * interval '1 ms', xid = pg_current_xact_id()
          FROM locked WHERE s.keyspace = $2 AND s.key = $3 AND ${isLive} AND ($7::uuid IS NULL OR s.etag = $7) RETURNING s.etag`,
    },
    remove: {
      name: "state_remove",
      text: `${locked}
        UPDATE ${schema}.state s SET gone = 'd', value = '', expires = NULL, updated = instant, xid = pg_current_xact_id()
          FROM locked WHERE s.keyspace = $2 AND s.key = $3 AND ${isLive} AND ($4::uuid IS NULL OR s.etag = $4) RETURNING 1`,
    },
    writeAll: {
      name: "state_write",
      text: `SELECT outcome, failing, results FROM ${schema}.state_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    },
  } satisfies Record<string, Statement>;
}

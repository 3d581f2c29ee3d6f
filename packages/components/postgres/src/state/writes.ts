import { randomUUID } from "node:crypto";
import {
  ComponentError,
  type Reason,
  type StateOperation,
  type StatePrecondition,
  type StatePublish,
  type StateResult,
  type StateStore,
} from "@mecha/component";
import { Batcher } from "../batcher.js";
import {
  asBuffer,
  decodePlainArray,
  encodeArray,
  encodeInt4s,
  encodeInt8s,
  encodeTexts,
  encodeUuids,
} from "../binary.js";
import type { Connection, Statement, Value } from "../connection.js";
import { unknown } from "../errors.js";
import { bucketOf, locksOf } from "./locks.js";
import type { EncodePublishes } from "./publishing-writes.js";
import { lockClass } from "./schema.js";

type WriteCall = Parameters<StateStore["write"]>[0];
type SetOperation = StateOperation & { readonly type: "set" };
type DeleteOperation = StateOperation & { readonly type: "delete" };

/** Sets without a precondition, of one caller: all or none. */
interface PlainSets {
  readonly keyspace: string;
  readonly operations: readonly SetOperation[];
}

const isPlainSet = (operation: StateOperation): operation is SetOperation =>
  operation.type === "set" && operation.precondition === undefined;

/** What a row takes in a statement beside its value, about. */
const rowBytes = 1024;

/**
 * Writes to the state table, each in one round trip. Sets without a precondition share one transaction with others that come at the same time; one
 * other operation is a statement of its own; what is more goes through the function `state_write`, which costs the server several times as much, and
 * what publishes events through one that does both.
 */
export function createWriter(connection: Connection, encodePublishes: EncodePublishes) {
  const statements = writeStatements(connection.schema);
  const sets = new Batcher<PlainSets, string[]>({
    flights: Math.ceil(connection.size / 2),
    maxCalls: 64,
    maxWeight: 1024 * 1024,
    maxWaitingWeight: 64 * 1024 * 1024,
    weigh: ({ operations }) => operations.reduce((sum, { value }) => sum + value.byteLength + rowBytes, 0),
    send: setTogether,
    left: unknown,
  });

  return { write, close: () => sets.close() };

  async function write(call: WriteCall): Promise<StateResult[]> {
    const { keyspace, operations, requestId, signal } = call;
    if (call.publishes !== undefined && call.publishes.length > 0) return publishToo(call, call.publishes);
    if (requestId === undefined && operations.every(isPlainSet)) {
      const etags = await sets.call({ keyspace, operations }, signal);
      return etags.map((etag) => ({ type: "set", etag }));
    }
    const [operation] = operations;
    if (operation === undefined || operations.length > 1 || requestId !== undefined) return writeAll(call);
    switch (operation.type) {
      case "set":
        return [{ type: "set", etag: await setIf(call, operation) }];
      case "delete":
        return [{ type: "delete", existed: await remove(call, operation) }];
      case "check":
        return writeAll(call);
    }
  }

  /**
   * Does the sets of several callers in one transaction. Of several sets of one key the last one is written: it is as if they had come one after
   * the other, faster than anybody could look.
   */
  async function setTogether(calls: readonly PlainSets[]): Promise<string[][]> {
    const rows = new Map<string, { keyspace: string; operation: SetOperation; etag: string }>();
    const etags = calls.map(({ keyspace, operations }) =>
      operations.map((operation) => {
        const etag = randomUUID();
        rows.set(`${keyspace}\0${operation.key}`, { keyspace, operation, etag });
        return etag;
      }),
    );
    const all = [...rows.values()];
    const operations = all.map(({ operation }) => operation);
    const buckets = new Set(all.map(({ keyspace, operation }) => bucketOf(keyspace, operation.key)));
    const values = [
      encodeInt4s([...buckets].sort((a, b) => a - b)),
      encodeTexts(all.map(({ keyspace }) => keyspace)),
      encodeTexts(operations.map(({ key }) => key)),
      encodeArray(
        "bytea",
        operations.map(({ value }) => value),
      ),
      encodeTexts(operations.map(({ contentType }) => contentType)),
      encodeInt8s(operations.map(({ ttlMs }) => ttlMs ?? null)),
      encodeUuids(all.map(({ etag }) => etag)),
    ];
    await connection.query(statements.setTogether, values, { effect: "write" });
    return etags;
  }

  async function setIf({ keyspace, signal }: WriteCall, operation: SetOperation): Promise<string> {
    const { key, precondition, value, contentType, ttlMs } = operation;
    const values = [bucketOf(keyspace, key), keyspace, key, asBuffer(value), contentType, ttlMs ?? null];
    const rows =
      precondition?.type === "absent"
        ? await connection.query(statements.create, values, { effect: "write", signal })
        : await connection.query(statements.replace, [...values, expectedEtag(precondition)], {
            effect: "write",
            signal,
          });
    return rows[0]?.[0] ?? refuse(precondition, key, 0);
  }

  async function remove({ keyspace, signal }: WriteCall, { key, precondition }: DeleteOperation): Promise<boolean> {
    if (precondition?.type === "absent") refuse(precondition, key, 0);
    const values = [bucketOf(keyspace, key), keyspace, key, expectedEtag(precondition)];
    const rows = await connection.query(statements.remove, values, { effect: "write", signal });
    if (rows.length > 0) return true;
    return precondition === undefined ? false : refuse(precondition, key, 0);
  }

  async function publishToo(call: WriteCall, events: readonly StatePublish[]): Promise<StateResult[]> {
    const { values, committed } = await encodePublishes(events);
    const results = await writeAll(call, statements.writeAndPublish, values);
    committed();
    return results;
  }

  async function writeAll(
    { keyspace, operations, requestId, signal }: WriteCall,
    statement: Statement = statements.writeAll,
    more: readonly Value[] = [],
  ): Promise<StateResult[]> {
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
      isConditional ? encodeUuids(conditions.map(expectedEtag)) : null,
      requestId?.id ?? null,
      requestId?.fingerprint ?? null,
      ...more,
    ];
    const [row] = await connection.query(statement, values, { effect: "write", signal });
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
function expectedEtag(precondition: StatePrecondition | undefined): string | null {
  if (precondition?.type !== "etag") return null;
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
  const columns = "keyspace, key, value, content_type, etag, updated, expires, xid";
  const overwrite = `ON CONFLICT (keyspace, key) DO UPDATE SET value = excluded.value, content_type = excluded.content_type,
    etag = excluded.etag, updated = excluded.updated, expires = excluded.expires, gone = NULL, xid = excluded.xid`;
  return {
    setTogether: {
      name: "state_set",
      text: `
        WITH locked AS MATERIALIZED (
          SELECT date_trunc('milliseconds', clock_timestamp()) AS instant FROM (
            SELECT count(*) FROM (SELECT pg_advisory_xact_lock(${lockClass(schema)}, bucket) FROM unnest($1::int[]) AS bucket) taken
          ) all_taken)
        INSERT INTO ${schema}.state AS s (${columns})
        SELECT o.space, o.key, o.value, o.content_type, o.etag, instant, instant + o.ttl * interval '1 ms', pg_current_xact_id()
          FROM locked, unnest($2::text[], $3::text[], $4::bytea[], $5::text[], $6::int8[], $7::uuid[])
            AS o(space, key, value, content_type, ttl, etag)
        ${overwrite}`,
    },
    create: {
      name: "state_create",
      text: `${locked}
        INSERT INTO ${schema}.state AS s (${columns})
        SELECT $2, $3, $4, $5, gen_random_uuid(), instant, instant + $6::float8 * interval '1 ms', pg_current_xact_id() FROM locked
        ${overwrite} WHERE s.gone IS NOT NULL OR s.expires <= excluded.updated RETURNING s.etag`,
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
    writeAndPublish: {
      name: "state_write_and_publish",
      text: `SELECT outcome, failing, results FROM ${schema}.state_write_and_publish(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
    },
  } satisfies Record<string, Statement>;
}

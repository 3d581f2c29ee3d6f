import {
  type Binding,
  type BindingData,
  bindingLimits,
  ComponentError,
  durationMs,
  type InvokeCall,
} from "@mecha/component";
import pg, { type PoolClient, type QueryResult } from "pg";
import { unknown } from "../errors.js";
import type { Pool } from "../pool.js";
import { jsonTypes, toValues } from "./json.js";
import { operations } from "./operations.js";
import { callerError } from "./sql-errors.js";

type OperationName = (typeof operations)[number]["name"];

export interface SqlBindingOptions {
  /** The connections that statements run over: none but theirs. */
  readonly pool: Pool;
  /** Which operations are allowed. */
  readonly allowed: readonly OperationName[];
  readonly statementTimeoutMs: number;
  /** Makes a session ready that has no settings yet. */
  prepare(client: PoolClient): Promise<void>;
}

/** What a statement gave. */
interface Answer {
  readonly json: Buffer;
  readonly rows: number;
}

/**
 * The binding block: statements of the app. Each begins with a session as new, so that nothing that one leaves (settings, locks, temporary
 * tables, an open transaction) reaches another; what a session holds is discarded before its connection is used again.
 */
export function createSqlBinding({ pool, allowed, statementTimeoutMs, prepare }: SqlBindingOptions): Binding {
  /** Makes a session as new; false if it cannot be. */
  async function discard(client: PoolClient): Promise<boolean> {
    try {
      // DISCARD works in no transaction, and a statement may have left one open.
      await client.query("ROLLBACK");
      await client.query("DISCARD ALL");
      await prepare(client);
      return true;
    } catch {
      return false;
    }
  }

  return {
    features: allowed.length > 0 ? ["OUTPUT"] : [],
    operations: operations.filter(({ name }) => allowed.includes(name)),
    maxDataBytes: bindingLimits.maxDataBytes,

    async invoke(call): Promise<BindingData> {
      call.signal.throwIfAborted();
      const values = toValues(call.data);
      const limitMs = Math.min(statementTimeoutMs, durationMs(call.metadata.timeout ?? "") ?? statementTimeoutMs);
      const client = await pool.acquire(call.signal);
      let isBroken = true;
      try {
        const { json, rows } = await run(client, call, values, Math.max(1, Math.ceil(limitMs)));
        isBroken = false;
        return { data: json, contentType: "application/json", metadata: { rows: String(rows) } };
      } catch (error) {
        isBroken = !(error instanceof ComponentError && error.metadata.sqlstate !== undefined);
        throw error;
      } finally {
        if (isBroken) pool.release(client, true);
        else void discard(client).then((isClean) => pool.release(client, !isClean));
      }
    },
  };
}

async function run(
  client: PoolClient,
  { operation, metadata, signal }: InvokeCall,
  values: (string | null)[],
  timeoutMs: number,
): Promise<Answer> {
  const isReading = operation === "query";
  // A connection that goes ends its statement.
  const leave = () => client.connection.stream.destroy();
  signal.addEventListener("abort", leave, { once: true });
  let isSent = false;
  try {
    signal.throwIfAborted();
    await client.query(`SET statement_timeout = ${timeoutMs}`);
    if (isReading) await client.query("BEGIN READ ONLY");
    isSent = true;
    return await collect(client, metadata.sql ?? "", values, isReading);
  } catch (error) {
    if (signal.aborted) throw isSent && !isReading ? unknown(signal.reason) : signal.reason;
    if (error instanceof ComponentError) throw error;
    throw callerError(error, isReading ? "read" : "write");
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/** Runs a statement and gathers its rows, as long as they are not too many. */
function collect(client: PoolClient, text: string, values: (string | null)[], isReading: boolean): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const parts: string[] = [];
    let bytes = 2;
    // The extended protocol takes one statement only.
    const config = { text, values, queryMode: "extended", types: jsonTypes };
    const query = new pg.Query(config);
    query.on("row", (row: object) => {
      if (bytes > bindingLimits.maxDataBytes) return;
      const part = JSON.stringify(row);
      bytes += Buffer.byteLength(part) + 1;
      if (bytes <= bindingLimits.maxDataBytes) parts.push(part);
      // Nothing is lost by not reading on.
      else if (isReading) client.connection.stream.destroy();
    });
    query.on("error", (error: Error) => reject(bytes > bindingLimits.maxDataBytes ? tooLarge(isReading) : error));
    query.on("end", ({ rowCount }: QueryResult) => {
      if (bytes > bindingLimits.maxDataBytes) reject(tooLarge(isReading));
      else resolve({ json: Buffer.from(`[${parts.join(",")}]`), rows: rowCount ?? 0 });
    });
    client.query(query);
  });
}

function tooLarge(isReading: boolean): ComponentError {
  const { maxDataBytes } = bindingLimits;
  const message = `the rows are more than ${maxDataBytes} bytes of JSON together; ask for fewer, with LIMIT${isReading ? "" : ". The statement was done"}`;
  const metadata = { limit_bytes: String(maxDataBytes), ...(!isReading && { done: "true" }) };
  return new ComponentError("TOO_LARGE", message, { metadata });
}

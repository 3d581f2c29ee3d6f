import { type Binding, bindingLimits, type ComponentContext } from "@mecha/component";
import { Client, type PoolClient } from "pg";
import { clientOptions, type PostgresConfig } from "../config.js";
import { statementError } from "../errors.js";
import { Pool } from "../pool.js";
import { createSqlBinding } from "./binding.js";

/** How much longer than its own limit a statement's connection may be silent before it is cut, in ms. */
const graceMs = 1_000;

/** What is served where the configuration allows no statements. */
const nothing: Binding = { features: [], operations: [], maxDataBytes: bindingLimits.maxDataBytes };

/** A binding that can be asked whether it works, and closed. */
export interface SqlBinding {
  readonly binding: Binding;
  health(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** The binding block over connections of its own, so that no statement of an app takes one from the others, or meets what they hold. */
export async function openSqlBinding(
  config: PostgresConfig,
  { name, logger, signal }: Pick<ComponentContext, "name" | "logger" | "signal">,
): Promise<SqlBinding> {
  if (config.binding === undefined) return { binding: nothing, health: async () => {}, close: async () => {} };
  const { url = config.url, pool: size, operations: allowed } = config.binding;
  const { statementTimeoutMs } = config;
  const client = clientOptions({ ...config, url }, `${name}/binding`);
  const { host, port, user = "", database = "" } = new Client(client);
  const pool = new Pool({
    client,
    size,
    answerTimeoutMs: statementTimeoutMs + graceMs,
    server: { address: `${host}:${port}`, user, database },
    logger,
    prepare: watchCaller,
  });
  const binding = createSqlBinding({ pool, allowed, statementTimeoutMs, prepare: watchCaller });
  const opened: SqlBinding = {
    binding,
    async health(signal) {
      const connected = await pool.acquire(signal);
      let isBroken = true;
      try {
        await connected.query("SELECT 1");
        isBroken = false;
      } catch (error) {
        throw statementError(error, "read");
      } finally {
        pool.release(connected, isBroken);
      }
    },
    close: () => pool.close(),
  };
  try {
    await opened.health(signal);
  } catch (error) {
    await opened.close();
    throw error;
  }
  return opened;
}

/** Has the server end a statement whose connection is gone, where it can see that (on Linux). */
async function watchCaller(client: PoolClient): Promise<void> {
  await client.query("SET client_connection_check_interval = 500").catch(() => {});
}

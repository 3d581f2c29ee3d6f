import { type Binding, bindingLimits, type ComponentContext } from "@mecha/component";
import { Client, type PoolClient } from "pg";
import { clientOptions, type PostgresConfig } from "../config.js";
import { Pool } from "../pool.js";
import { createSqlBinding } from "./binding.js";

/** How much longer than its own limit a statement's connection may be silent before it is cut, in ms. */
const graceMs = 1_000;

/** What is served where the configuration allows no statements. */
const nothing: Binding = { features: [], operations: [], maxDataBytes: bindingLimits.maxDataBytes };

/** The binding block over connections of its own, so that no statement of an app takes one from the others, or meets what they hold. */
export function openSqlBinding(
  config: PostgresConfig,
  { name, logger }: Pick<ComponentContext, "name" | "logger">,
): { readonly binding: Binding; close(): Promise<void> } {
  if (config.binding === undefined) return { binding: nothing, close: async () => {} };
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
  return {
    binding: createSqlBinding({ pool, allowed, statementTimeoutMs, prepare: watchCaller }),
    close: () => pool.close(),
  };
}

/** Has the server end a statement whose connection is gone, where it can see that (on Linux). */
async function watchCaller(client: PoolClient): Promise<void> {
  await client.query("SET client_connection_check_interval = 500").catch(() => {});
}

import { type Backend, backends } from "@mecha/e2e/backends";
import type { TestServer } from "@mecha/test-servers";
import { startNats } from "./nats.ts";
import { startPostgres } from "./postgres.ts";
import type { Contestant } from "./queue.ts";
import { startRedis } from "./redis.ts";
import { startRuntime } from "./runtime.ts";
import { startSqlite } from "./sqlite.ts";

/** The engine's own client, by component: what the runtime is measured against. */
const own: Record<string, (server: TestServer | undefined) => Contestant | Promise<Contestant>> = {
  sqlite: startSqlite,
  postgres: on(startPostgres),
  redis: on(startRedis),
  nats: on(startNats),
};

function on(start: (server: TestServer) => Promise<Contestant>) {
  return (server: TestServer | undefined) => {
    if (server === undefined) throw new Error("the engine's server was not started");
    return start(server);
  };
}

/** What can be measured. */
export const engines: readonly Backend[] = backends.filter(({ name }) => name in own);

/** Starts an engine, its own client and a runtime over it; all end with `stack`. */
export async function startContestants(
  { name, startServer, resources }: Backend,
  stack: AsyncDisposableStack,
): Promise<Record<string, Contestant>> {
  const start = own[name];
  if (start === undefined) throw new Error(`nobody has written a queue over ${name}`);
  const server = stack.use(await startServer?.());
  const client = stack.use(await start(server));
  return { [ownClient]: client, [runtime]: stack.use(await startRuntime(resources(server), client.pids)) };
}

export const ownClient = "own client";
export const runtime = "runtime";

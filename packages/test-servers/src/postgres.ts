import { execFile } from "node:child_process";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { answers, startServer, type TestServer } from "./server.js";
import { locate } from "./tools.js";

const run = promisify(execFile);

/** Options of {@link startPostgres}. */
export interface PostgresOptions {
  /** Settings of `postgresql.conf`, such as `{ synchronous_commit: "off" }`. */
  settings?: Record<string, string>;
}

/** A startup packet that asks for TLS: a server that takes connections answers "N" (it has none). */
const sslRequest = Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47);

/** Starts a PostgreSQL server: user `postgres`, database `postgres`, no password. */
export function startPostgres({ settings = {} }: PostgresOptions = {}): Promise<TestServer> {
  const program = locate("postgres");
  // PostgreSQL refuses to run as root.
  const user =
    process.getuid?.() === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] : [];
  const asUser = (command: string[]): { program: string; args: string[] } => {
    const [first = "", ...rest] = [...user, ...command];
    return { program: first, args: rest };
  };
  const data = (folder: string) => join(folder, "data");
  return startServer({
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    async prepare(folder) {
      if (user.length > 0) await run("chown", ["postgres:postgres", folder]);
      await chmod(folder, 0o700);
      const initdb = asUser([
        join(dirname(program), "initdb"),
        ...["-D", data(folder), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
      ]);
      await run(initdb.program, initdb.args, { cwd: folder });
    },
    command: (port, folder) => {
      const all = { listen_addresses: "127.0.0.1", unix_socket_directories: "", ...settings };
      const flags = Object.entries(all).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
      return asUser([program, "-D", data(folder), "-p", String(port), ...flags]);
    },
    isReady: async (port) => (await answers(port, sslRequest, "N")) && (await isPostgresReady(program, port)),
    // "Fast": disconnects clients, rolls back, and ends.
    stopSignal: "SIGINT",
    afterStop: (_port, folder) => endStragglers(data(folder)),
  });
}

/**
 * Ends what is left of a server that is gone: a connection's process that was born while the others were killed. As long as one lives the
 * server cannot be started again, for it holds on to its shared memory.
 */
async function endStragglers(data: string): Promise<void> {
  for (let left = processesIn(data); left.length > 0; left = processesIn(data)) {
    for (const pid of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
    await delay(5);
  }
}

/** The processes that work in a folder, as Linux tells; none elsewhere. */
function processesIn(folder: string): number[] {
  const pids = existsSync("/proc/self/cwd") ? readdirSync("/proc").filter((entry) => /^\d+$/.test(entry)) : [];
  return pids.map(Number).filter((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === folder;
    } catch {
      return false;
    }
  });
}

/** While it recovers, PostgreSQL takes connections and refuses them. */
async function isPostgresReady(program: string, port: number): Promise<boolean> {
  try {
    await run(join(dirname(program), "pg_isready"), ["-h", "127.0.0.1", "-p", String(port)]);
    return true;
  } catch {
    return false;
  }
}

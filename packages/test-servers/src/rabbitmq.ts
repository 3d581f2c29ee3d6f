import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { answers, freePort, startServer, type TestServer } from "./server.js";
import { locate } from "./tools.js";

const run = promisify(execFile);

/** What every AMQP 0-9-1 broker answers to a header of another protocol. */
const wrongHeader = "AMQP\u0000\u0000\u0000\u0000";

/** Starts a RabbitMQ broker: user `guest`, password `guest`. */
export async function startRabbitmq(): Promise<TestServer> {
  const distributionPort = await freePort();
  const mapperPort = await freePort();
  const mapper = { ERL_EPMD_PORT: String(mapperPort), ERL_EPMD_ADDRESS: "127.0.0.1" };
  return startServer({
    url: (port) => `amqp://guest:guest@127.0.0.1:${port}`,
    command: (port, folder) => {
      mkdirSync(join(folder, "log"), { recursive: true });
      return {
        program: locate("rabbitmq"),
        args: [],
        env: {
          ...mapper,
          HOME: folder,
          RABBITMQ_NODENAME: `mecha${port}@localhost`,
          RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
          RABBITMQ_NODE_PORT: String(port),
          RABBITMQ_DIST_PORT: String(distributionPort),
          RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
          RABBITMQ_LOG_BASE: join(folder, "log"),
          RABBITMQ_PID_FILE: join(folder, "pid"),
          RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
        },
      };
    },
    isReady: (port) => answers(port, wrongHeader, "AMQP"),
    async afterStop(_port, folder) {
      // The start script forks the Erlang machine; killing the script alone would leave it, and its port mapper, behind.
      while (await killed(`-home ${folder}`)) await delay(20);
      await run("epmd", ["-port", String(mapperPort), "-kill"], { env: { ...process.env, ...mapper } }).catch(
        () => undefined,
      );
    },
  });
}

/** Kills every process whose command names `text`; false once there is none. */
async function killed(text: string): Promise<boolean> {
  return run("pkill", ["-KILL", "-f", "--", text]).then(
    () => true,
    () => false,
  );
}

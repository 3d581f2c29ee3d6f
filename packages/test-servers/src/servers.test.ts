import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  missing,
  startMosquitto,
  startNats,
  startPostgres,
  startRabbitmq,
  startRedis,
  type TestServer,
} from "./index.js";
import type { Tool } from "./tools.js";

/** Whether somebody takes connections on a port. */
const isTaken = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });

const kinds: [Tool, () => Promise<TestServer>][] = [
  ["redis", startRedis],
  ["postgres", startPostgres],
  ["nats", startNats],
  ["mosquitto", startMosquitto],
  ["rabbitmq", startRabbitmq],
];

for (const [tool, start] of kinds) {
  describe.skipIf(missing(tool))(tool, () => {
    test("starts, crashes, starts again on the same port, and leaves nothing behind", {
      timeout: 120_000,
    }, async () => {
      let folder = "";
      let port = 0;
      {
        await using server = await start();
        ({ folder, port } = server);
        expect(await isTaken(port)).toBe(true);
        await server.kill();
        expect(await isTaken(port)).toBe(false);
        await server.start();
        expect(await isTaken(port)).toBe(true);
        await server.stop();
        expect(await isTaken(port)).toBe(false);
      }
      expect(existsSync(folder)).toBe(false);
    });
  });
}

test.skipIf(missing("postgres") || process.platform !== "linux")(
  "postgres: a connection's process that outlives its server does not keep it from starting again",
  { timeout: 120_000 },
  async () => {
    await using server = await startPostgres();
    const straggler = spawn("sleep", ["1000"], { cwd: join(server.folder, "data") });
    const ended = once(straggler, "exit");
    await server.kill();
    await ended;
    await server.start();
  },
);

import { existsSync } from "node:fs";
import { connect } from "node:net";
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

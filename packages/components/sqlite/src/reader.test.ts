import { DatabaseSync } from "node:sqlite";
import { ComponentError, type Logger } from "@mecha/component";
import { expect, test } from "vitest";
import { createReader } from "./reader.js";

const logger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** What SQLite throws while another process recovers the file after a crash (SQLITE_BUSY_RECOVERY). */
const busy = () => Object.assign(new Error("database is locked"), { errcode: 261 });

const open = (lockTimeoutMs: number) => createReader(new DatabaseSync(":memory:"), lockTimeoutMs, logger);

test("a read that finds the file unlocked is answered at once", () => {
  expect(open(100).read(() => "answer")).toBe("answer");
});

test("a read that finds the file locked waits for it, and lets the event loop turn", async () => {
  let attempts = 0;
  const read = open(5_000).read(() => {
    if (++attempts < 4) throw busy();
    return "answer";
  });
  expect(read).toBeInstanceOf(Promise);
  await expect(read).resolves.toBe("answer");
});

test("a file that stays locked is COMPONENT_UNAVAILABLE with a time to try again", async () => {
  const read = open(20).read(() => {
    throw busy();
  });
  const error: unknown = await Promise.resolve(read).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ComponentError);
  expect(error).toMatchObject({ reason: "COMPONENT_UNAVAILABLE", retryAfterMs: expect.any(Number) });
});

test("a caller that leaves while the file is locked gets its own reason, and a connection that closes says so", async () => {
  const controller = new AbortController();
  const reader = open(5_000);
  const locked = () => {
    throw busy();
  };
  const left = reader.read(locked, { signal: controller.signal });
  const stays = reader.read(locked);
  controller.abort("gone");
  await expect(left).rejects.toBe("gone");
  reader.close();
  await expect(stays).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
});

import { type Awaitable, type ComponentContext, ComponentError } from "@mecha/component";
import { type Changes, createChanges } from "./changes.js";
import type { Settings } from "./config.js";
import { toComponentError } from "./errors.js";
import { failureOf } from "./failure.js";
import { identityOf, prepareFile } from "./file.js";
import { createGuard, openForReading } from "./open.js";
import { createReader, type Reader } from "./reader.js";
import { retryWhileBusy } from "./retry.js";
import { createWriter, type Writer } from "./writer.js";

/** One open file, for all blocks: reads here, writes on a thread, and word of what changes. */
export interface Connection {
  readonly reader: Reader;
  readonly writer: Writer;
  readonly changes: Changes;
  /** Throws if the file can no longer be used. */
  check(): Awaitable<void>;
  /** Aborts when the connection closes. */
  readonly closing: AbortSignal;
  close(): Promise<void>;
}

type Context = Pick<ComponentContext, "clock" | "logger" | "signal">;

/** Opens the file; makes and migrates it first where needed. Several processes may do so at the same moment. */
export async function openConnection(settings: Settings, { clock, logger, signal }: Context): Promise<Connection> {
  const { path, lockTimeoutMs } = settings;
  const db = await openFile(settings, signal);
  const reader = createReader(db, lockTimeoutMs, logger);
  const changes = createChanges(db, logger);
  const identity = identityOf(path);
  const writer = createWriter({ settings: { ...settings, identity }, clock, logger, onBatch: changes.committed });
  const guard = createGuard(db, path, identity);
  const closing = new AbortController();
  return {
    closing: closing.signal,
    reader,
    writer,
    changes,
    check: () => reader.read(guard),
    async close() {
      closing.abort();
      changes.close();
      reader.close();
      // The writer's connection goes last: it copies the log into the database then, away from the event loop.
      db.close();
      await writer.close();
    },
  };
}

async function openFile({ path, lockTimeoutMs }: Settings, signal: AbortSignal) {
  try {
    prepareFile(path);
    return await retryWhileBusy(() => openForReading(path), lockTimeoutMs, signal);
  } catch (error) {
    if (signal.aborted) throw new ComponentError("CANCELED", "the start was given up", { cause: signal.reason });
    const failure = failureOf(error);
    const message = failure.message.includes(path) ? failure.message : `${path}: ${failure.message}`;
    throw toComponentError({ ...failure, message });
  }
}

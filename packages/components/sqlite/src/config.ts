import { isAbsolute, join, resolve } from "node:path";
import { type ComponentContext, type Durability, z } from "@mecha/component";

/** The shape of `spec.config`; the README's table is made of it. */
export const sqliteConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The database file, on a local disk (no network file system). A relative path is relative to the resource file's folder; missing folders are made. Left out: `mecha.db` in the data directory.",
    ),
  synchronous: z
    .enum(["full", "normal"])
    .default("full")
    .describe(
      "When a write is answered. `full`: once it is on disk (fsync, shared by all writers that wait), so that it survives a crash of the host. `normal`: once the operating system has it, so that it survives a crash of the runtime but perhaps not of the host.",
    ),
  lockTimeoutMs: z
    .int()
    .min(1)
    .max(60_000)
    .default(5_000)
    .describe(
      "How long, in ms, a call waits for another process that holds the file before it fails with COMPONENT_UNAVAILABLE.",
    ),
  eventRetentionHours: z
    .int()
    .min(1)
    .max(87_600)
    .default(168)
    .describe(
      "How long, in hours, events are kept for groups that begin with the past (REPLAY). What a group that exists has not finished is kept longer, for as long as that takes.",
    ),
});

/** What `spec.config` holds once it is validated. */
export type SqliteConfig = z.output<typeof sqliteConfig>;

/** Everything a connection needs to know, resolved. */
export interface Settings {
  /** Absolute. */
  readonly path: string;
  readonly synchronous: "full" | "normal";
  readonly lockTimeoutMs: number;
  readonly eventRetentionMs: number;
  readonly durability: Durability;
}

/** Configuration and where the component runs, as one set of settings. */
export function resolveSettings(
  config: SqliteConfig,
  context: Pick<ComponentContext, "dataDir" | "baseDir">,
): Settings {
  const path = config.path ?? join(context.dataDir, "mecha.db");
  return {
    path: isAbsolute(path) ? path : resolve(context.baseDir, path),
    synchronous: config.synchronous,
    lockTimeoutMs: config.lockTimeoutMs,
    eventRetentionMs: config.eventRetentionHours * 60 * 60 * 1000,
    // Without an fsync per commit the host may lose what it answered, and `Durability` knows no step between that and nothing.
    durability: config.synchronous === "full" ? "HOST" : "PROCESS",
  };
}

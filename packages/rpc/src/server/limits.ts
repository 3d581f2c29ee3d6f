import type { ServerLimits } from "../options.js";

/** Every limit of a server, resolved. */
export type Limits = Required<ServerLimits>;

const defaults: Limits = {
  readMaxBytes: 4 * 1024 * 1024 + 64 * 1024,
  writeMaxBytes: 64 * 1024 * 1024,
  maxTimeoutMs: Number.MAX_SAFE_INTEGER,
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  writeTimeoutMs: 30_000,
  maxConnections: 10_000,
  maxStreamsPerConnection: 256,
  maxResetsPerSecond: 1_000,
};

/** Fills in the defaults and refuses what cannot be meant. */
export function resolveLimits(limits: ServerLimits = {}): Limits {
  const resolved = { ...defaults };
  for (const name of Object.keys(defaults) as (keyof Limits)[]) {
    const value = limits[name];
    if (value === undefined) continue;
    if (!(value > 0) || (Number.isFinite(value) && !Number.isInteger(value))) {
      throw new RangeError(`limits.${name} must be a positive integer, not ${value}`);
    }
    resolved[name] = value;
  }
  return resolved;
}

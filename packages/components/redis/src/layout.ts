import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { ComponentError } from "@mecha/component";
import type { Redis } from "./redis.js";
import { defineScript } from "./script.js";

/** One step from a layout to the next. Run under a lock; it must not mind being run again after it was interrupted. */
export type MigrationStep = (redis: Redis, keyPrefix: string) => Promise<void>;

/** How long the lock outlives whoever holds it, in ms; renewed three times as often. */
const lockMs = 15_000;
const pollMs = 100;

/** Takes the lock if the version is still what was read: whoever held it before may have advanced it in between. */
const lockScript = defineScript(
  `if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[2] then return 0 end
if redis.call('SET', KEYS[2], ARGV[3], 'NX', 'PX', ARGV[4]) then return 1 end
return redis.call('GET', KEYS[2]) == ARGV[3] and 1 or 0`,
  { write: true },
);
const renewScript = defineScript(
  `if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])`,
  { write: true },
);
/** Advances the version and lets go of the lock, if it is still held. */
const finishScript = defineScript(
  `if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[2])
return 1`,
  { write: true },
);

/**
 * Brings what is stored under `keyPrefix` to the newest layout, `steps.length`: `steps[n]` makes layout n + 1 out of layout n, and 0 is
 * nothing at all. Of several runtimes that start at once one migrates and the others wait. A newer layout is refused.
 */
export async function openLayout(
  redis: Redis,
  keyPrefix: string,
  steps: readonly MigrationStep[],
  signal: AbortSignal,
): Promise<void> {
  // One hash tag for both, so that the version advances only while the lock is held, on Redis Cluster too.
  const route = `{${keyPrefix}}`;
  const [versionKey, lockKey] = [`${route}:layout`, `${route}:layout-lock`];
  const options = { route, signal };
  for (;;) {
    const version = await redis.read(["GET", versionKey], options, Number);
    if (version === steps.length) return;
    if (version > steps.length) {
      throw new ComponentError(
        "COMPONENT_UNAVAILABLE",
        `what is stored under "${keyPrefix}" has layout ${version}, of a newer Mecha; this one knows layout ${steps.length}: upgrade it, or take another keyPrefix`,
      );
    }
    const token = randomUUID();
    const locked = await redis.run(lockScript, [versionKey, lockKey], [String(version), token, String(lockMs)], {
      ...options,
      repeatable: true,
    });
    if (locked !== 1) {
      await delay(pollMs, undefined, { signal });
      continue;
    }
    const renewal = setInterval(() => {
      redis.run(renewScript, [lockKey], [token, String(lockMs)], { route, repeatable: true }).catch(() => {}); // Then it is not finished.
    }, lockMs / 3);
    try {
      await steps[version]?.(redis, keyPrefix);
      await redis.run(finishScript, [versionKey, lockKey], [token, String(version + 1)], {
        ...options,
        repeatable: true,
      });
    } finally {
      clearInterval(renewal);
    }
  }
}

import type { Clock } from "@mecha/component";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { HealthState, LiveComponent } from "./live.js";

/** Options of {@link watchHealth}. */
export interface WatchHealthOptions {
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
  /** How long after a good answer it is asked again, in ms. */
  readonly intervalMs: number;
  /** Called when the state turned. */
  readonly onChange: () => void;
}

/** How long a component may take to say how it is, in ms. */
const timeoutMs = 3_000;
const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

/** Asks a component how it is until the function that is returned is called: at an interval while it is well, with backoff while it is not. */
export function watchHealth(
  live: LiveComponent,
  { clock, logger, intervalMs, onChange }: WatchHealthOptions,
): () => void {
  let stopped = false;
  let cancelTimer = clock.after(intervalMs, () => void check(firstRetryMs));

  const check = async (retryMs: number): Promise<void> => {
    const state = await askHealth(live, clock);
    if (stopped) return;
    if (state.healthy !== live.health.healthy) {
      const { name, definition } = live.plan;
      const fields = { component: name, type: definition.type };
      if (state.healthy) logger.info(fields, `component "${name}" answers again`);
      else logger.warn(fields, `component "${name}" does not answer: ${state.lastError}`);
    }
    const turned = state.healthy !== live.health.healthy;
    live.health = state;
    if (turned) onChange();
    const nextRetryMs = state.healthy ? firstRetryMs : Math.min(retryMs * 2, longestRetryMs);
    cancelTimer = clock.after(state.healthy ? intervalMs : retryMs, () => void check(nextRetryMs));
  };
  return () => {
    stopped = true;
    cancelTimer();
  };
}

async function askHealth(live: LiveComponent, clock: Clock): Promise<HealthState> {
  const patience = new AbortController();
  const late = new Promise<never>((_, reject) => {
    patience.signal.addEventListener("abort", () => reject(patience.signal.reason), { once: true });
  });
  const cancelTimer = clock.after(timeoutMs, () => patience.abort(new Error(`no answer within ${timeoutMs} ms`)));
  try {
    await Promise.race([live.component.health(patience.signal), late]);
    return { healthy: true };
  } catch (error) {
    return { healthy: false, lastError: error instanceof Error ? error.message : String(error) };
  } finally {
    cancelTimer();
  }
}

import type { Clock } from "@mecha/component";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { type AskOptions, ask } from "./ask.js";
import type { AppProbes, ProbePlan } from "./plan.js";
import { createProber, type Prober } from "./prober.js";

/** Whether the app can be given work, as its probes tell. */
export interface AppHealth {
  readonly healthy: boolean;
  /** Calls back whenever it turned; the function that is returned stops that. */
  onTurn(listener: () => void): () => void;
  /** Somebody could not reach the app: it counts as away from now on, until it is seen again, and is looked for at once. */
  suspect(): void;
  /** Asks by these probes from now on. */
  probe(probes: AppProbes): void;
  /** The app was started anew: it is asked from the beginning, the startup probe first. */
  restarted(): void;
  close(): void;
}

export interface AppHealthOptions {
  /** Where the app listens; undefined if it does nowhere that is known: then it is healthy unless a command says otherwise. */
  readonly port: number | undefined;
  readonly appToken: string | undefined;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
  /** Told when the app did not start in time, or lives no more: it should be restarted. */
  readonly onFailed: ((reason: string) => void) | undefined;
}

/** Without a readiness probe an app with a port takes work as long as that takes connections. A port that is away may be there any moment. */
const portProbe: ProbePlan = {
  ask: { type: "tcp" },
  intervalMs: 5_000,
  waitingIntervalMs: 250,
  timeoutMs: 1_000,
  failures: 1,
  successes: 1,
};

/** Watches the app from now on. */
export function createAppHealth({ port, appToken, clock, logger, onFailed }: AppHealthOptions): AppHealth {
  const listeners = new Set<() => void>();
  let probes: AppProbes = {};
  let running: { readonly readiness?: Prober; readonly probers: readonly Prober[] } = { probers: [] };
  let started = false;
  let ready = false;
  let told = false;

  const isHealthy = () => started && ready;
  const turn = () => {
    if (told === isHealthy()) return;
    told = isHealthy();
    for (const listener of listeners) listener();
  };
  const prober = (plan: ProbePlan, onTurn: Parameters<typeof createProber>[0]["onTurn"]) => {
    const options: AskOptions = { port, appToken, timeoutMs: plan.timeoutMs };
    return createProber({ plan, ask: () => ask(plan.ask, options), clock, onTurn });
  };
  const fail = (probe: string, why: string) => {
    const reason = `its ${probe} probe failed: ${why}`;
    logger.warn({ reason }, `the app ${onFailed === undefined ? "should be" : "is to be"} restarted: ${reason}`);
    onFailed?.(reason);
  };

  /** Begins with the startup probe, if there is one. */
  const begin = () => {
    stop();
    started = probes.startup === undefined;
    if (probes.startup === undefined) return run();
    const startup = prober(probes.startup, (well, why) => {
      if (!well) return fail("startup", why);
      started = true;
      run();
    });
    running = { probers: [startup] };
    turn();
  };
  const run = () => {
    stop();
    const plan = probes.readiness ?? (port === undefined ? undefined : portProbe);
    ready = plan === undefined;
    const readiness =
      plan &&
      prober(plan, (well) => {
        ready = well;
        turn();
      });
    const liveness =
      probes.liveness &&
      prober(probes.liveness, (well, why) => {
        if (!well) fail("liveness", why);
      });
    running = {
      ...(readiness !== undefined && { readiness }),
      probers: [readiness, liveness].filter((one) => one !== undefined),
    };
    turn();
  };
  const stop = () => {
    for (const one of running.probers) one.close();
    running = { probers: [] };
  };

  begin();
  return {
    get healthy() {
      return isHealthy();
    },
    onTurn(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    suspect() {
      if (isHealthy()) running.readiness?.suspect();
    },
    probe(next) {
      // What is known of the app holds where nothing else is asked.
      if (JSON.stringify(next) === JSON.stringify(probes)) return;
      probes = next;
      begin();
    },
    restarted: begin,
    close: stop,
  };
}

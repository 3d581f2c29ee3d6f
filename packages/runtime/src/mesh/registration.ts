import { randomBytes } from "node:crypto";
import type { Clock, Instance } from "@mecha/component";
import type { AppHealth } from "../app/health.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { CurrentDiscovery } from "./directory.js";

/** How long others may take a runtime for alive that was killed, and how often it says that it is, in ms. */
const leaseMs = 10_000;
const renewMs = 3_000;
/** How soon what failed, or waits for the app, is tried again, in ms. */
const retryMs = 250;

/** This runtime's own instance, as others find it. */
export interface Registration {
  /** Whether others can find it now. */
  readonly registered: boolean;
  /** Ends it at once, for good. */
  end(): Promise<void>;
}

export interface RegistrationOptions {
  readonly namespace: string;
  readonly instance: Omit<Instance, "id">;
  /** The discovery in use now; undefined where none takes registrations. */
  readonly current: () => CurrentDiscovery | undefined;
  /** Whether the app takes calls. */
  readonly health: AppHealth;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

/** Registers the instance while its app takes calls, and renews the lease. What fails is tried again, and logged once. */
export function register({ namespace, instance, current, health, clock, logger }: RegistrationOptions): Registration {
  const { app, address } = instance;
  const own: Instance = { ...instance, id: `${app}-${randomBytes(9).toString("base64url")}` };
  const lease = { namespace, app, id: own.id };
  let registeredAt: CurrentDiscovery["discovery"] | undefined;
  let complained = false;
  let ended = false;
  let cancelTimer = () => {};
  let running = Promise.resolve();

  async function beat(): Promise<void> {
    const found = current()?.discovery;
    const leases = found?.leases;
    if (leases === undefined) return;
    if (!health.healthy) {
      if (registeredAt === undefined) return;
      registeredAt = undefined;
      await leases.deregister(lease);
      logger.warn({ app, address }, "the app does not take calls: other apps do not find it now");
      return;
    }
    // A component that was replaced may be another database.
    if (registeredAt === found && (await leases.renew({ ...lease, ttlMs: leaseMs }))) return;
    await leases.register({ namespace, instance: own, ttlMs: leaseMs });
    if (registeredAt === undefined) logger.info({ app, address }, `other apps find this one ${found?.describe(lease)}`);
    registeredAt = found;
  }

  async function tick(): Promise<void> {
    let failed = false;
    try {
      await beat();
      complained = false;
    } catch (err) {
      failed = true;
      if (!complained) logger.warn({ err }, "cannot register with discovery; will try again");
      complained = true;
    }
    if (ended) return;
    cancelTimer = clock.after(registeredAt === undefined || failed ? retryMs : renewMs, next);
  }

  /** One beat after the other. */
  const next = () => {
    cancelTimer();
    running = running.then(tick);
  };
  next();
  const stopListening = health.onTurn(next);
  return {
    get registered() {
      return registeredAt !== undefined;
    },
    async end() {
      ended = true;
      stopListening();
      cancelTimer();
      await running;
      const leases = registeredAt?.leases;
      registeredAt = undefined;
      // If it fails the lease ends by itself.
      await leases?.deregister(lease);
    },
  };
}

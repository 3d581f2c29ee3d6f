import { type Clock, ComponentError, type Discovery, type Instance } from "@mecha/component";
import type { LiveComponent } from "../components/live.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Endpoint } from "./balancer.js";

/** How long a first lookup may take, in ms. */
const lookupTimeoutMs = 5_000;
/** How long an app is watched after the last call of it, and how often that is looked at, in ms. */
const idleMs = 5 * 60_000;
/** How long after a watch that broke it begins anew, in ms. */
const retryMs = 500;

/** A discovery that runs, and what it may be replaced by. */
export interface CurrentDiscovery {
  readonly live: LiveComponent;
  readonly discovery: Discovery;
}

/** Where apps are: looked up once, then watched for as long as they are called. */
export interface Directory {
  /**
   * The instances of an app, at once where it is watched already. Throws APP_NOT_FOUND for an app that nobody knows, with those that there are;
   * one that has none is found without.
   */
  find(app: string): Whereabouts | Promise<Whereabouts>;
  close(): void;
}

/** Where an app is. */
export interface Whereabouts {
  /** The instances that take calls. */
  readonly endpoints: readonly Endpoint[];
  /** How many others there are: their weight is 0. */
  readonly weightless: number;
}

export interface DirectoryOptions {
  readonly namespace: string;
  /** The discovery in use now; throws a ComponentError where there is none. */
  readonly current: () => CurrentDiscovery;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

interface Entry {
  found: Whereabouts;
  usedAt: number;
}

export function createDirectory({ namespace, current, clock, logger }: DirectoryOptions): Directory {
  const entries = new Map<string, Entry>();
  const closing = new AbortController();

  /** Keeps what is known of an app true until it is not called any more, or gone. */
  async function follow(app: string, entry: Entry): Promise<void> {
    let complained = false;
    while (!closing.signal.aborted && entries.get(app) === entry) {
      const stop = new AbortController();
      const cancelIdle = watchIdleness(app, entry, () => stop.abort());
      try {
        const { live, discovery } = current();
        const signal = AbortSignal.any([stop.signal, closing.signal, live.retired]);
        for await (const instances of discovery.watch({ namespace, app, signal })) {
          // Nobody knows it any more: the next call looks it up anew, and is told what there is.
          if (instances === undefined) return forget(app, entry);
          entry.found = merge(entry.found.endpoints, instances);
          complained = false;
        }
      } catch (err) {
        const message = `cannot watch where app "${app}" is; what was known holds, and it is tried again`;
        if (!complained) logger.warn({ err, app }, message);
        complained = true;
      } finally {
        cancelIdle();
      }
      if (stop.signal.aborted || closing.signal.aborted) break;
      await new Promise<void>((resolve) => clock.after(retryMs, resolve));
    }
    forget(app, entry);
  }

  function forget(app: string, entry: Entry): void {
    if (entries.get(app) === entry) entries.delete(app);
  }

  function watchIdleness(app: string, entry: Entry, stop: () => void): () => void {
    let cancel = () => {};
    const look = () => {
      if (clock.now() - entry.usedAt >= idleMs && entries.get(app) === entry) return stop();
      cancel = clock.after(idleMs, look);
    };
    cancel = clock.after(idleMs, look);
    return () => cancel();
  }

  /** Asked before it is watched: a name that nobody has costs no watch. */
  async function lookUp(app: string): Promise<Whereabouts> {
    const { discovery } = current();
    const signal = AbortSignal.any([AbortSignal.timeout(lookupTimeoutMs), closing.signal]);
    const found = await discovery.resolve({ namespace, app, signal });
    if (found === undefined) throw await unknownApp(discovery, app, signal);
    // Another call may have looked it up meanwhile.
    const existing = entries.get(app);
    if (existing !== undefined) return existing.found;
    const entry: Entry = { found: merge([], found), usedAt: clock.now() };
    entries.set(app, entry);
    void follow(app, entry);
    return entry.found;
  }

  async function unknownApp(discovery: Discovery, app: string, signal: AbortSignal): Promise<ComponentError> {
    const known = await discovery.list?.({ namespace, signal });
    const there =
      known === undefined
        ? ""
        : known.length === 0
          ? "; no app is there: start one with mecha run --app-id <id> --app-port <port>"
          : `; there ${known.length === 1 ? "is" : "are"}: ${known.slice(0, 50).join(", ")}`;
    const message = `there is no app "${app}" ${discovery.describe({ namespace, app })}${there}`;
    return new ComponentError("APP_NOT_FOUND", message, { metadata: { app, namespace } });
  }

  return {
    find(app) {
      const entry = entries.get(app);
      if (entry === undefined) return lookUp(app);
      entry.usedAt = clock.now();
      return entry.found;
    },
    close: () => closing.abort(),
  };
}

/** What is known now. An instance that was known before stays the same endpoint, with its count of calls. */
function merge(known: readonly Endpoint[], instances: readonly Instance[]): Whereabouts {
  const before = new Map(known.map((endpoint) => [endpoint.instance.id, endpoint]));
  const taking = instances.filter(({ weight }) => weight > 0);
  const endpoints = taking.map((instance) => {
    const endpoint = before.get(instance.id);
    if (endpoint === undefined) return { instance, inFlight: 0, answeredAt: 0 };
    endpoint.instance = instance;
    return endpoint;
  });
  return { endpoints, weightless: instances.length - taking.length };
}

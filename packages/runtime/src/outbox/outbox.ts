import type { BlockContext } from "../blocks/block.js";
import type { Binding, ComponentRegistry } from "../components/registry.js";
import type { Plan } from "../config/plan.js";
import type { Problem } from "../config/problem.js";
import type { Sample, SampledMetric } from "../telemetry/metrics.js";
import { type Relay, startRelay } from "./relay.js";
import { endOf, refuseEnds } from "./removal.js";
import { backlogOf, isOpen, keyOf, openRoute, type Route, routeLeaves, routeOf } from "./route.js";

/** How much a store keeps for another component. */
export interface Backlog {
  readonly store: string;
  readonly pubsub: string;
  readonly backlog: number;
}

/** The outbox between components: what a transaction publishes to a pubsub that is not its store's own. */
export interface Outbox {
  /**
   * Holds the way from a store to another pubsub open for one transaction, until `leave` is called. Its relay runs from then on, and wherever a
   * runtime of the app finds that one was ever used.
   */
  enter(store: Binding<"state">, target: string): Promise<{ readonly route: Route; leave(): void }>;
  /** What waits; nothing is told of a way that was never used, or whose store is away. */
  backlogs(): Promise<Backlog[]>;
  /** How much waits, and what became of the rest, for Prometheus. */
  metrics(): Promise<Sample[]>;
  /**
   * Says what is wrong with changing to `next` as long as events wait that nobody would hand over then, and lets no transaction add to them
   * until `release`.
   */
  prepare(next: Plan): Promise<{ readonly problems: readonly Problem[]; release(): void }>;
  close(): Promise<void>;
}

/** A way that is in use. */
interface Active {
  readonly route: Route;
  readonly relay: Relay;
}

const waitingMetric: SampledMetric = {
  name: "mecha_outbox_events",
  help: "Events of transactions that wait in their store to be handed to another component.",
  type: "gauge",
  labels: ["store", "pubsub"],
};

const doneMetric: SampledMetric = {
  name: "mecha_outbox_events_total",
  help: "Events that this runtime took from an outbox, by what became of them: published, expired (their ttl) or refused (dead letters).",
  type: "counter",
  labels: ["store", "pubsub", "outcome"],
};

/** How often a way is looked for that another runtime of the app has opened, in ms. Events of a known way wake their relay. */
const sweepMs = 30_000;

export function createOutbox({
  registry,
  identity,
  clock,
  logger,
}: Omit<BlockContext, "observer" | "outbox" | "health" | "deliveries">): Outbox {
  const active = new Map<string, Promise<Active>>();
  /** Ways that are being removed, and transactions that are under way, by {@link keyOf}. */
  const leaving = new Set<string>();
  const inFlight = new Map<string, number>();
  let isClosed: boolean = false;

  /** Starts the relay of a way, once its group is there. */
  const start = (route: Route, ready: Promise<void>): Promise<Active> => {
    const key = keyOf(route);
    const starting = ready.then((): Active => {
      const target = () => registry.use("pubsub", route.target);
      const relay = startRelay(route, { namespace: identity.namespace, clock, logger, target });
      const { retired } = route.store.live;
      if (isClosed || retired.aborted || active.get(key) !== starting) void relay.close();
      else retired.addEventListener("abort", () => void stop(key, starting), { once: true });
      return { route, relay };
    });
    active.set(key, starting);
    starting.catch(() => {
      if (active.get(key) === starting) active.delete(key);
    });
    return starting;
  };

  const stop = async (key: string, stopping: Promise<Active>): Promise<void> => {
    if (active.get(key) === stopping) active.delete(key);
    const { relay } = await stopping;
    await relay.close();
  };

  /** Starts and stops relays by what is there now: components come and go, and other runtimes open ways. */
  const sync = async (): Promise<void> => {
    const routes = new Map(routesOf(registry).map((route) => [keyOf(route), route]));
    for (const [key, starting] of active) {
      const known = await starting.catch(() => undefined);
      if (known !== undefined && routes.get(key)?.store.live !== known.route.store.live) await stop(key, starting);
    }
    for (const [key, route] of routes) {
      if (isClosed || active.has(key)) continue;
      const isFound = await isOpen(route).catch((err: unknown) => {
        logger.debug({ store: route.store.live.plan.name, err }, "the outbox cannot be looked for now; trying again");
        return false;
      });
      if (isFound && !isClosed && !active.has(key)) await start(route, Promise.resolve());
    }
  };

  let syncing: Promise<void> = Promise.resolve();
  let isScheduled: boolean = false;
  const scheduleSync = () => {
    if (isScheduled) return;
    isScheduled = true;
    syncing = syncing.then(async () => {
      isScheduled = false;
      await sync().catch((err: unknown) => logger.warn({ err }, "an outbox cannot be served now; trying again"));
    });
  };
  let cancelSweep = () => {};
  const sweep = () => {
    scheduleSync();
    cancelSweep = clock.after(sweepMs, sweep);
  };
  sweep();
  const forgetChanges = registry.onChange(scheduleSync);

  /** Asks about every way; a store that is away cannot tell, and its health says so. */
  const ofEach = async <T>(ask: (way: Active) => Promise<T>): Promise<T[]> => {
    const answers = await Promise.allSettled([...active.values()].map(async (starting) => ask(await starting)));
    return answers.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  };

  return {
    async enter(store, target) {
      const wanted = routeOf(store, target);
      const key = keyOf(wanted);
      const known = await active.get(key)?.catch(() => undefined);
      const isCurrent = known !== undefined && known.route.store.live === store.live;
      const { route } = isCurrent ? known : await start(wanted, openRoute(wanted));
      if (leaving.has(key)) throw routeLeaves(route);
      inFlight.set(key, (inFlight.get(key) ?? 0) + 1);
      return { route, leave: () => inFlight.set(key, (inFlight.get(key) ?? 1) - 1) };
    },

    backlogs: () => ofEach(toBacklog),

    async metrics() {
      const samples = await ofEach(async (way): Promise<Sample[]> => {
        const { backlog, ...labels } = await toBacklog(way);
        const outcomes = Object.entries(way.relay.counts);
        return [
          { metric: waitingMetric, labels, value: backlog },
          ...outcomes.map(([outcome, value]) => ({ metric: doneMetric, labels: { ...labels, outcome }, value })),
        ];
      });
      return samples.flat();
    },

    async prepare(next) {
      const running = registry.list().map(({ plan }) => plan);
      const ending = routesOf(registry).flatMap(
        (route) => endOf(route, running, next.components, identity.appId) ?? [],
      );
      const keys = ending.map(({ route }) => keyOf(route));
      for (const key of keys) leaving.add(key);
      const problems = await refuseEnds(ending, (route) => {
        const key = keyOf(route);
        return { isKnown: active.has(key), isBusy: (inFlight.get(key) ?? 0) > 0 };
      });
      return {
        problems,
        release() {
          for (const key of keys) leaving.delete(key);
        },
      };
    },

    async close() {
      isClosed = true;
      cancelSweep();
      forgetChanges();
      await Promise.all([...active].map(([key, starting]) => stop(key, starting).catch(() => {})));
      await syncing;
    },
  };
}

async function toBacklog({ route }: Active): Promise<Backlog> {
  return { store: route.store.live.plan.name, pubsub: route.target, backlog: await backlogOf(route) };
}

/** Every way that there may be: from each store with OUTBOX to each other pubsub. */
function routesOf(registry: ComponentRegistry): Route[] {
  const stores = registry.bindings("state").filter(({ serve }) => serve.features.includes("OUTBOX"));
  const targets = registry.bindings("pubsub").map(({ live }) => live.plan.name);
  return stores.flatMap((store) =>
    targets.filter((target) => target !== store.live.plan.name).map((target) => routeOf(store, target)),
  );
}

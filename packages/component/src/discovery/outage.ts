import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "../component.js";
import { ComponentError } from "../errors.js";
import type { BreakableServer } from "../pubsub/outage.js";
import type { Awaitable } from "../state/interface.js";
import type { ConformanceCase } from "../suite/cases.js";
import { instance } from "./conformance/kit.js";
import type { Discovery, Instance } from "./interface.js";

/** What a component's tests tell the outage suite of discovery. */
export interface DiscoveryOutageHarness<Server extends BreakableServer> {
  startServer(): Promise<Server>;
  /** Starts the component on a server; several times for one, as several processes would. */
  open(server: Server): Awaitable<Component>;
}

const call = { namespace: "outage", app: "orders" };
const patienceMs = 30_000;
/** Leases that end during an outage, and how often they are renewed, in ms. */
const ttlMs = 1_000;
const renewMs = 300;

/**
 * What a discovery over a server must do when that server goes away: callers go on with what they knew, nobody who is well disappears for them, and
 * when it is back what has changed meanwhile is told.
 */
export function discoveryOutage<Server extends BreakableServer>(
  harness: DiscoveryOutageHarness<Server>,
): ConformanceCase[] {
  const outages: [
    name: string,
    begin: (server: Server) => Awaitable<void>,
    end: (server: Server) => Awaitable<void>,
  ][] = [
    ["is stopped and started", (server) => server.stop(), (server) => server.start()],
    ["is killed and started", (server) => server.kill(), (server) => server.start()],
    ["hangs and goes on", (server) => server.pause(), (server) => server.resume()],
  ];
  return [
    ...outages.map(([name, begin, end]) => ({
      name: `a watch outlives a server that ${name}: who is well stays, who came is told, who is gone goes`,
      run: () => survive(harness, begin, end),
    })),
    {
      name: "is UNAVAILABLE with a time to retry while the server is away, and comes back",
      run: () => goAway(harness),
    },
  ];
}

async function survive<Server extends BreakableServer>(
  { startServer, open }: DiscoveryOutageHarness<Server>,
  begin: (server: Server) => Awaitable<void>,
  end: (server: Server) => Awaitable<void>,
): Promise<void> {
  await using server = await startServer();
  const components = [await open(server), await open(server)] as const;
  const [ours, theirs] = [discoveryOf(components[0]), discoveryOf(components[1])];
  const stop = new AbortController();
  const { signal } = stop;
  const states: (readonly string[] | undefined)[] = [];
  const watching = (async () => {
    for await (const found of ours.watch({ ...call, signal })) states.push(found?.map(({ id }) => id));
  })();
  const keeping = [keep(theirs, instance("well", call.app), signal)];
  await register(theirs, instance("dies", call.app));
  await eventually("both are told", () => String(states.at(-1)) === "dies,well");
  for (const late of ["late-1", "late-2"]) {
    const before = states.length;
    await begin(server);
    // Longer than every lease; the one that nobody renews is over when the server is back.
    await delay(ttlMs * 2);
    await end(server);
    keeping.push(keep(theirs, instance(late, call.app), signal));
    await eventually(`${late} is told`, () => states.at(-1)?.includes(late) === true);
    assert(
      states.slice(before).every((ids) => ids?.includes("well")),
      "one that is well is told to be gone",
    );
    await eventually("what is gone goes", () => states.at(-1)?.includes("dies") === false);
    assert(states.at(-1)?.includes("well"), "one that is well is gone");
  }
  assert.deepEqual(states.at(-1), ["late-1", "late-2", "well"]);
  stop.abort();
  await Promise.all([watching, ...keeping]);
  await Promise.all(components.map((component) => component.close()));
}

async function goAway<Server extends BreakableServer>({
  startServer,
  open,
}: DiscoveryOutageHarness<Server>): Promise<void> {
  await using server = await startServer();
  const component = await open(server);
  const discovery = discoveryOf(component);
  const calls: (() => Awaitable<unknown>)[] = [
    () => register(discovery, instance("i-1", call.app)),
    () => discovery.leases?.renew({ ...call, id: "i-1", ttlMs }),
    () => discovery.leases?.deregister({ ...call, id: "i-1" }),
    () => discovery.resolve({ ...call, signal: AbortSignal.timeout(patienceMs) }),
    () => discovery.list?.({ namespace: call.namespace, signal: AbortSignal.timeout(patienceMs) }),
  ];
  for (const each of calls) assert.equal(await failureOf(each), undefined);
  await server.stop();
  for (const each of calls) {
    await eventually("it is known to be away", async () => {
      const failure = await failureOf(each);
      return failure?.reason === "COMPONENT_UNAVAILABLE" && (failure.retryAfterMs ?? 0) > 0;
    });
  }
  // A watch that begins now can say nothing of the app.
  await assert.rejects(
    async () => {
      for await (const _ of discovery.watch({ ...call, signal: AbortSignal.timeout(patienceMs) })) break;
    },
    { reason: "COMPONENT_UNAVAILABLE" },
  );
  await server.start();
  for (const each of calls) await eventually("it is back", async () => (await failureOf(each)) === undefined);
  await component.close();
}

/** As a runtime does it: registers, and from then on renews, or registers anew; what fails is tried again. */
async function keep(discovery: Discovery, own: Instance, signal: AbortSignal): Promise<void> {
  let isThere = false;
  while (!signal.aborted) {
    try {
      isThere &&= (await discovery.leases?.renew({ ...call, id: own.id, ttlMs })) === true;
      if (!isThere) await register(discovery, own);
      isThere = true;
    } catch (error) {
      if (!(error instanceof ComponentError)) throw error;
    }
    await delay(renewMs, undefined, { signal }).catch(() => {});
  }
}

const register = async (discovery: Discovery, own: Instance) =>
  discovery.leases?.register({ namespace: call.namespace, instance: own, ttlMs });

function discoveryOf({ blocks: { discovery } }: Component): Discovery {
  assert(discovery !== undefined, "the component serves no discovery block");
  return discovery;
}

/** Why a call failed; undefined if it did not. */
async function failureOf(run: () => Awaitable<unknown>): Promise<ComponentError | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof ComponentError) return error;
    throw error;
  }
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + patienceMs; !(await holds()); await delay(20)) {
    if (performance.now() > deadline) assert.fail(`${what}: not within ${patienceMs} ms`);
  }
}

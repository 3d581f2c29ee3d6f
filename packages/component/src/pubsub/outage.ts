import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "../component.js";
import { ComponentError } from "../errors.js";
import type { Awaitable } from "../state/interface.js";
import type { ConformanceCase } from "../suite/cases.js";
import { plainSettings, startEventLoad } from "./event-load.js";
import type { PubSubFeature } from "./features.js";
import type { PubSub } from "./interface.js";

/** A server that a case may break; `startNats()` and its siblings of `@mecha/test-servers` give one. */
export interface BreakableServer extends AsyncDisposable {
  start(): Promise<void>;
  /** In good order. */
  stop(): Promise<void>;
  /** As a crash would. */
  kill(): Promise<void>;
  /** It hangs, with its connections open, until `resume`. */
  pause(): void;
  resume(): void;
}

/** What a broker's tests tell the outage suite. */
export interface OutageHarness<Server extends BreakableServer> {
  startServer(): Promise<Server>;
  /** Starts the component on a server; several times for one, as several processes would. */
  open(server: Server): Awaitable<Component>;
  readonly features: readonly PubSubFeature[];
  /** How often the server is killed and stopped under load. */
  readonly rounds: number;
}

const call = { keyspace: "outage", topic: "t", group: "app/g" };
const keys = ["a", "b", "c", "d"];
const patienceMs = 60_000;

/**
 * What a pubsub over a server must do when that server goes away: lose nothing that was acknowledged (whatever the suite of a durability of
 * HOST says of its disk, a process that dies leaves what it gave to its operating system), and answer every call in time.
 */
export function pubsubOutage<Server extends BreakableServer>(harness: OutageHarness<Server>): ConformanceCase[] {
  const loads = (harness.features.includes("ORDERED") ? [false, true] : [false]).map((ordered) => ({
    name: `loses nothing that was acknowledged when the server is killed under load${ordered ? ", and keeps order" : ""}`,
    run: () => survive(harness, ordered),
  }));
  return [
    ...loads,
    {
      name: "is UNAVAILABLE with a time to retry while the server is away, and comes back",
      run: () => goAway(harness),
    },
    { name: "is OUTCOME_UNKNOWN for what was sent to a server that hangs, in time", run: () => hang(harness) },
  ];
}

async function survive<Server extends BreakableServer>(
  { startServer, open, rounds }: OutageHarness<Server>,
  ordered: boolean,
): Promise<void> {
  await using server = await startServer();
  const components = [await open(server), await open(server)];
  const pubsubs = components.map(pubsubOf);
  const [first] = pubsubs;
  assert(first !== undefined);
  const settings = { ...plainSettings, ordered };
  await first.openGroup({ ...call, settings, defaults: settings, update: false });
  const load = startEventLoad({ pubsubs, call, keys, leaseMs: 5_000 });
  for (let round = 0; round < rounds; round++) {
    const before = load.delivered;
    await Promise.race([eventually("events come", () => load.delivered > before + 100), load.broken]);
    await (round % 2 === 0 ? server.kill() : server.stop());
    await server.start();
  }
  const { published, lost, reordered } = await load.finish(patienceMs);
  assert(published >= rounds * 100, `only ${published} events were published`);
  assert.deepEqual(lost, []);
  if (ordered) assert.deepEqual(reordered, []);
  await closeAll(components);
}

async function goAway<Server extends BreakableServer>({ startServer, open }: OutageHarness<Server>): Promise<void> {
  await using server = await startServer();
  const component = await open(server);
  const pubsub = pubsubOf(component);
  assert.equal(await failureOf(pubsub, "before"), undefined);
  await server.stop();
  await eventually("it is known to be away", async () => {
    const failure = await failureOf(pubsub, "away");
    return failure?.reason === "COMPONENT_UNAVAILABLE" && (failure.retryAfterMs ?? 0) > 0;
  });
  await assert.rejects(async () => component.health(AbortSignal.timeout(5_000)), { reason: "COMPONENT_UNAVAILABLE" });
  await server.start();
  await eventually("it is back", async () => (await failureOf(pubsub, "back")) === undefined);
  await component.health(AbortSignal.timeout(10_000));
  await component.close();
}

async function hang<Server extends BreakableServer>({ startServer, open }: OutageHarness<Server>): Promise<void> {
  await using server = await startServer();
  const component = await open(server);
  const pubsub = pubsubOf(component);
  assert.equal(await failureOf(pubsub, "before"), undefined);
  server.pause();
  const started = performance.now();
  const [late, left] = await Promise.all([
    failureOf(pubsub, "late"),
    failureOf(pubsub, "left", AbortSignal.timeout(100)).then((failure) => ({
      failure,
      ms: performance.now() - started,
    })),
  ]);
  assert.equal(late?.reason, "OUTCOME_UNKNOWN");
  assert.equal(left.failure?.reason, "OUTCOME_UNKNOWN", "whoever leaves is told, too");
  assert(left.ms < performance.now() - started, "it is told when it leaves, not when the server is given up");
  server.resume();
  await eventually("it is back", async () => (await failureOf(pubsub, "late")) === undefined);
  await component.close();
}

function pubsubOf({ blocks: { pubsub } }: Component): PubSub {
  assert(pubsub !== undefined, "the component serves no pubsub block");
  return pubsub;
}

async function closeAll(components: readonly Component[]): Promise<void> {
  await Promise.all(components.map((component) => component.close()));
}

/** Why an event was not published, thrown or as its outcome; undefined if it was. */
async function failureOf(pubsub: PubSub, id: string, signal?: AbortSignal): Promise<ComponentError | undefined> {
  const entry = { topic: "t", source: "outage", id, orderingKey: "", delayMs: 0, ttlMs: undefined, metadata: {} };
  const entries = [{ ...entry, payload: new TextEncoder().encode(id) }];
  try {
    const [outcome] = await pubsub.publish({ keyspace: call.keyspace, entries, ...(signal && { signal }) });
    return outcome?.type === "failed" ? outcome.error : undefined;
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

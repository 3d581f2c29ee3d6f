import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { RuntimeService } from "@mecha/api/runtime";
import { createPubSubClient } from "@mecha/pubsub";
import { createTransport } from "@mecha/rpc";
import type { TestServer } from "@mecha/test-servers";
import { openGroup } from "../groups.ts";
import { type Served, serveMecha } from "../mecha.ts";
import { type Kill, planKills, type Victim } from "./kills.ts";
import { type Group, Ledger, type Verdict } from "./ledger.ts";
import type { EventName } from "./protocol.ts";
import { createRandom } from "./random.ts";
import type { Subject } from "./subjects.ts";
import { startWorker, type Worker, type WorkerOrders } from "./worker.ts";

const publishers = 4;
const keysOfEach = 8;
const topic = "numbers";
/** How long a runtime may take to come back, and publishers to get through, in ms. */
const withinMs = 60_000;

/** How a component is tried. */
export interface LossOptions {
  readonly rounds: number;
  /** The same seed kills at the same moments. */
  readonly seed: string;
  /** How long nothing more may come before what is missing counts as lost, in ms. Longer than any lease. Default 20 s. */
  readonly patienceMs?: number;
  /** What is killed in a round, if not what the seed says. */
  readonly kills?: readonly Kill[];
  /** Told after each round. */
  onRound?(round: number, verdict: Verdict): void;
}

/** What came of it. */
export interface LossReport extends Verdict {
  readonly component: string;
  readonly rounds: number;
  readonly seed: string;
  /** Whether the component lists ORDERED; if not, `reordered` says nothing. */
  readonly ordered: boolean;
  /** Events that were given up, which none may be. */
  readonly dead: number;
  readonly kills: Readonly<Record<Victim, number>>;
  readonly seconds: number;
}

/** Whether a component kept its promise. */
export const isSound = ({ lost, reordered, foreign, dead }: LossReport): boolean =>
  lost + reordered + foreign + dead === 0;

/** Everything that runs while a component is tried. */
interface Scene {
  readonly mecha: Served;
  readonly server: TestServer | undefined;
  readonly ledger: Ledger;
  readonly killed: Record<Victim, number>;
  readonly startPublisher: (index: number, seed: string) => Worker;
  readonly startSubscriber: () => Worker;
  subscriber: Worker;
}

/** Kills publishers, runtime, subscriber and server while events flow, round after round, and counts what became of each event. */
export async function tryLoss({ name, backend, outbox }: Subject, options: LossOptions): Promise<LossReport> {
  const begun = performance.now();
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await backend.startServer?.());
  const resources = backend.resources(server);
  const mecha = stack.use(await serveMecha(resources === undefined ? {} : { resources }));
  const { endpoint } = mecha;
  const groups = await makeGroups(endpoint);
  const ledger = new Ledger(groups, "/ns/default/app/e2e");
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  const start = (...[program, orders]: WorkerOrders) =>
    stack.use(startWorker(program, orders, ledger.hear, broken.reject));
  const startPublisher = (index: number, seed: string) => {
    const keys = keysOf(index).map((key) => ledger.firstOpen(key));
    return start("publisher", { endpoint, topic, seed: `${seed} ${index}`, outbox, keys });
  };
  const startSubscriber = () => start("subscriber", { endpoint, topic, groups: groups.map(({ name }) => name) });
  const killed = { publisher: 0, runtime: 0, subscriber: 0, server: 0 };
  const scene: Scene = {
    mecha,
    server,
    ledger,
    killed,
    startPublisher,
    startSubscriber,
    subscriber: startSubscriber(),
  };
  const random = createRandom(options.seed, name);

  for (let round = 1; round <= options.rounds; round++) {
    const kills = options.kills ?? planKills(random, publishers, server !== undefined);
    await playRound(scene, kills, `${options.seed} ${round}`, broken.promise);
    await settled(ledger, options.patienceMs ?? 20_000, broken.promise);
    options.onRound?.(round, ledger.judge());
  }
  await scene.subscriber.finish();
  return {
    component: name,
    rounds: options.rounds,
    seed: options.seed,
    ordered: groups.some(({ ordered }) => ordered),
    ...ledger.judge(),
    dead: await countDead(endpoint, groups),
    kills: killed,
    seconds: Math.round((performance.now() - begun) / 1000),
  };
}

const keysOf = (publisher: number): EventName[] =>
  Array.from({ length: keysOfEach }, (_, key) => [`p${publisher}-k${key}`, 0]);

/** Makes the groups, so that all that is published from now on is for them: an ordered one where the component keeps order, and one that is not. */
async function makeGroups(endpoint: string): Promise<Group[]> {
  await using transport = createTransport({ endpoint });
  const { components } = await createClient(RuntimeService, transport).getInfo({});
  const blocks = components.flatMap((component) => component.blocks);
  const keepsOrder = blocks.some(({ name, features }) => name === "pubsub" && features.includes("ORDERED"));
  const groups = [...(keepsOrder ? [{ name: "ordered", ordered: true }] : []), { name: "unordered", ordered: false }];
  for (const { name, ordered } of groups) {
    await openGroup(endpoint, topic, name, {
      ordered,
      // What a runtime held that was killed comes again when this is over.
      ackTimeout: { seconds: 1n },
      // Each kill costs what is in flight an attempt, and the harness wants to see every event arrive.
      retry: { maxAttempts: 1000 },
    });
  }
  return groups;
}

/** One round: events flow, things are killed and come back, and publishers finish. */
async function playRound(scene: Scene, kills: readonly Kill[], seed: string, broken: Promise<never>): Promise<void> {
  const { ledger, mecha, server, killed } = scene;
  const publishing = Array.from({ length: publishers }, (_, index) => scene.startPublisher(index, seed));
  const before = ledger.acknowledged;
  await Promise.race([until(() => ledger.acknowledged > before, "a publish is acknowledged"), broken]);

  /** How each victim comes to its end, and what brings it back. */
  const strike: Record<Victim, (kill: Kill) => Promise<() => unknown>> = {
    async publisher({ index }) {
      await publishing[index]?.kill();
      return () => {
        publishing[index] = scene.startPublisher(index, seed);
      };
    },
    async subscriber() {
      await scene.subscriber.kill();
      return () => {
        scene.subscriber = scene.startSubscriber();
      };
    },
    async runtime() {
      await mecha.kill("SIGKILL");
      return () => startAgain(mecha);
    },
    async server() {
      await server?.kill();
      return () => server?.start();
    },
  };
  // Whatever breaks meanwhile, what was killed is brought back before anybody cleans up.
  await Promise.all(
    kills.map(async (kill) => {
      await delay(kill.atMs);
      const revive = await strike[kill.victim](kill);
      killed[kill.victim] += 1;
      await delay(kill.downMs);
      await revive();
    }),
  );
  let finished = 0;
  for (const publisher of publishing) void publisher.finish().then(() => finished++);
  await Promise.race([until(() => finished === publishers, "publishers have published all they began"), broken]);
}

/** A runtime that finds no server ends; whoever supervises it starts it again. */
async function startAgain(mecha: Served): Promise<void> {
  for (const deadline = performance.now() + withinMs; ; await delay(100)) {
    try {
      return await mecha.start();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

/** Waits until nothing is missing, or nothing has come for so long that nothing will. */
async function settled(ledger: Ledger, patienceMs: number, broken: Promise<never>): Promise<void> {
  let heard = ledger.heard;
  let since = performance.now();
  while (ledger.missing > 0 && performance.now() - since < patienceMs) {
    await Promise.race([delay(10), broken]);
    if (ledger.heard === heard) continue;
    heard = ledger.heard;
    since = performance.now();
  }
}

async function countDead(endpoint: string, groups: readonly Group[]): Promise<number> {
  await using pubsub = createPubSubClient({ endpoint });
  const letters = await Promise.all(
    groups.map(({ name }) => Array.fromAsync(pubsub.deadLetters(topic, { group: name }))),
  );
  return letters.flat().length;
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + withinMs; !holds(); await delay(10)) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

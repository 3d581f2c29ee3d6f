// A program of the harness: publishes numbered events until its standard input ends, and then what is not acknowledged yet.
import { setTimeout as delay } from "node:timers/promises";
import { type EventName, type PublisherOptions, tell } from "./protocol.ts";
import { createRandom, integer } from "./random.ts";
import { passes } from "./trouble.ts";
import { byCall, byTransaction } from "./ways.ts";

/** How many callers share the keys. */
const callers = 4;
/** The most that are published together. */
const maxEntries = 10;
/** The longest pause between two calls of one caller, in ms: what is published must also be consumed, on the same machine. */
const maxPauseMs = 15;

const { endpoint, topic, seed, outbox, keys }: PublisherOptions = JSON.parse(process.argv[2] ?? "");
const random = createRandom(seed);
const way = outbox ? byTransaction(endpoint, topic) : byCall(endpoint, topic);
let stopping = false;
process.stdin.resume().on("end", () => {
  stopping = true;
});

/** Publishes in the order of its keys' numbers: the next of a key is not sent before the last one is acknowledged. */
async function publishAll(own: readonly EventName[]): Promise<void> {
  const next = new Map(own);
  while (!stopping) {
    const count = random() < 0.5 ? 1 : integer(random, 1, maxEntries + 1);
    const events = Array.from({ length: count }, (): EventName => {
      const [key = ""] = own[integer(random, 0, own.length)] ?? [];
      const number = next.get(key) ?? 0;
      next.set(key, number + 1);
      return [key, number];
    });
    tell(["attempt", ...events]);
    for (let open = events; open.length > 0; ) open = await publish(open);
    await delay(random() * maxPauseMs);
  }
}

/** Publishes once; which events are left, to be published again under the same ids. */
async function publish(events: EventName[]): Promise<EventName[]> {
  const outcomes = await way.publish(events);
  const done = events.filter((_, index) => outcomes[index] === "published");
  if (done.length > 0) tell(["ack", ...done]);
  for (const outcome of outcomes) if (outcome !== "published" && !passes(outcome)) fail(outcome);
  if (done.length < events.length) await delay(10);
  return events.filter((event) => !done.includes(event));
}

function fail(error: unknown): never {
  tell(["fault", `publishing: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`]);
  process.exit(1);
}

await Promise.all(
  Array.from({ length: callers }, (_, caller) => publishAll(keys.filter((_, index) => index % callers === caller))),
);
await way.close();

import { cpuMicros } from "../cpu.ts";
import { type Figures, type MeasureOptions, measure, record, takeTurns } from "../measure.ts";
import type { Contestant, Queue } from "./queue.ts";

const rounds = 5;
const roundMs = 1_000;
const eventBytes = 1024;
const batchSize = 100;
/** How many events wait when consuming is measured. */
const backlog = 10_000;

/** Measures that there are bars for. */
export const single = "publish, 64 publishers";
export const batched = `publish ${batchSize} at a time, 8 publishers`;

/** What is measured, contestants alike. */
const measures = {
  [single]: publishing(64, 1),
  [batched]: publishing(8, batchSize),
  "consume what waits": consuming,
  "publish until handled, one at a time": travelling,
} satisfies Record<string, Measure>;

type Measure = (queue: Queue, server: Pick<MeasureOptions, "serverMicros">) => Promise<Figures>;

/** The figures of one measure, by contestant. */
export interface Comparison {
  readonly measure: string;
  readonly figures: Map<string, Figures>;
}

/** Lets contestants take turns at every measure, each round on a queue of its own. */
export async function compareQueues(contestants: Readonly<Record<string, Contestant>>): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  let queues = 0;
  for (const [name, run] of Object.entries(measures)) {
    const turns = Object.entries(contestants).map(([who, contestant]) => {
      const serverMicros = () => cpuMicros(...contestant.pids);
      return [who, async () => run(await contestant.open(`bench-${++queues}`), { serverMicros })] as const;
    });
    comparisons.push({ measure: name, figures: await takeTurns(rounds, turns) });
  }
  return comparisons;
}

/** Different from each other, as events are. */
let events = 0;
function nextEvent(): Buffer {
  const event = Buffer.alloc(eventBytes, "e");
  event.writeUInt32LE(++events);
  return event;
}

const nextEvents = (count: number): Buffer[] => Array.from({ length: count }, nextEvent);

/** How fast events become durable while nobody consumes. */
function publishing(callers: number, size: number): Measure {
  return (queue, server) => {
    const run = () => (size === 1 ? queue.publish(nextEvent()) : queue.publishMany(nextEvents(size)));
    return measure({ name: "publish", run, sizeOf: () => size }, { callers, rounds, roundMs, ...server });
  };
}

/** How fast events that wait are handled. */
async function consuming(queue: Queue, server: Pick<MeasureOptions, "serverMicros">): Promise<Figures> {
  for (let count = 0; count < backlog; count += batchSize) await queue.publishMany(nextEvents(batchSize));
  return record(server, async (add) => {
    const done = Promise.withResolvers<void>();
    let left = backlog;
    await using _ = queue.consume(() => {
      add(Number.NaN, 1);
      left -= 1;
      if (left === 0) done.resolve();
    });
    await done.promise;
  });
}

/** How long one event takes from the call of publish to its handler, when nothing else is under way. */
async function travelling(queue: Queue, server: Pick<MeasureOptions, "serverMicros">): Promise<Figures> {
  let arrived = () => {};
  await using _ = queue.consume(() => arrived());
  const run = async () => {
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await queue.publish(nextEvent());
    await arrival;
  };
  await run(); // From here on the consumer is there.
  // Awaited here: the consumer goes when this returns.
  return await measure({ name: "travel", run }, { callers: 1, rounds, roundMs, ...server });
}

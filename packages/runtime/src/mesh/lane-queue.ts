import { systemClock } from "@mecha/component";
import type { Answer, Outbound, OutboundRequest, Send } from "./exchange.js";

/** A call waits where it can be expected to go on within so many ms, and at the most twice as long: a stream would be sooner on its way … */
const patienceMs = 25;
/** … but costs several times as much, and in a process that has little time that only makes all wait longer. */
const busyPatienceMs = 300;
/** What is little time: so much of the last while is used, of so many ms at least. */
const busyShare = 0.5;
const busyWindowMs = 50;
/** How many wait at the most. */
const maxWaiting = 128;
/** How often a connection must have become free of late to tell how soon the next one is. */
const samples = 4;

/** Calls that wait for a connection. */
export interface LaneQueue {
  /** Waits, and then sends the call, by `otherwise` if it waits too long; undefined if it would. */
  join(request: OutboundRequest, answer: Answer, otherwise: Send): Outbound | undefined;
  /** A connection has become free, at this time by `performance.now()`. */
  freed(at: number): void;
  /** There will be none: all go by `otherwise`. */
  flush(): void;
}

interface Waiting {
  /** Ends the wait: sends the call, by another way than it waited for if there is one. */
  go(send: Send): void;
  readonly request: OutboundRequest;
  readonly otherwise: Send;
}

/**
 * A queue for connections that carry one short call at a time: while they become free one after the other, waiting for the next costs a call less than
 * any other way does, and the process less that it has no time for. First come, first served.
 *
 * @param send sends a call on a connection that is free
 */
export function createLaneQueue(send: (request: OutboundRequest, answer: Answer) => Outbound | undefined): LaneQueue {
  const all = new Set<Waiting>();
  /** When connections became free: the last ones, the first of them first. */
  const freedAt: number[] = Array.from({ length: samples }, () => Number.NEGATIVE_INFINITY);
  const isBusy = createLoad();
  const gapMs = () => (performance.now() - (freedAt[0] ?? 0)) / samples;
  return {
    join(request, answer, otherwise) {
      const limitMs = isBusy() ? busyPatienceMs : patienceMs;
      if (all.size >= maxWaiting || (all.size + 1) * gapMs() > limitMs) return undefined;
      let sent: Outbound | undefined;
      let isOver = false;
      const waiting: Waiting = {
        request,
        otherwise,
        go(by) {
          all.delete(waiting);
          stopTimer();
          isOver = true;
          try {
            sent = by(request, answer);
          } catch (error) {
            // It cannot be written.
            return answer.failed({ error: error instanceof Error ? error : new Error(String(error)), untouched: true });
          }
          // Where it goes as a stream nobody else sends its body: whoever handed it over took it for sent.
          if (sent.body === undefined || !request.hasBody) return;
          sent.body.write(request.whole);
          sent.finish({});
        },
      };
      const stopTimer = systemClock.after(2 * limitMs, () => waiting.go(otherwise));
      all.add(waiting);
      return {
        body: undefined,
        finish() {},
        cancel() {
          if (isOver) sent?.cancel();
          isOver = true;
          stopTimer();
          all.delete(waiting);
        },
      };
    },
    freed(at) {
      freedAt.shift();
      freedAt.push(at);
      const [first] = all;
      first?.go((request, answer) => send(request, answer) ?? first.otherwise(request, answer));
    },
    flush() {
      for (const waiting of all) waiting.go(waiting.otherwise);
    },
  };
}

/** Says whether this thread has had little time of late. */
function createLoad(): () => boolean {
  let since = performance.eventLoopUtilization();
  let isBusy = false;
  return () => {
    const now = performance.eventLoopUtilization();
    const { active, idle, utilization } = performance.eventLoopUtilization(now, since);
    if (active + idle >= busyWindowMs) {
      isBusy = utilization > busyShare;
      since = now;
    }
    return isBusy;
  };
}

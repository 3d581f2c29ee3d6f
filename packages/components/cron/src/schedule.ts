import { Cron } from "croner";
import type { CronConfig } from "./config.js";

/** A firing that is to be delivered. Times are ms since the epoch. */
export interface Firing {
  readonly time: number;
  /** Firings before it that are passed over. */
  readonly skipped: number;
}

/** When a component fires. */
export interface Schedule {
  /** The firing to deliver now, when all until `done` were settled; undefined if there is none yet. */
  due(done: number, now: number): Firing | undefined;
  /** The first firing after `time`; undefined if there is none any more. */
  next(time: number): number | undefined;
}

/** Firings that are counted as passed over, at the most: a component that fires every second may have been away for a year. */
const maxCounted = 1000;

export function createSchedule({ schedule, timeZone, catchUp, maxCatchUp, maxLateMs }: CronConfig): Schedule {
  const cron = new Cron(schedule, { timezone: timeZone });

  /** The latest firings after `done` until now, the newest first; no more than `count`, and no more are calculated. */
  const pending = (done: number, now: number, count: number): number[] => {
    const times: number[] = [];
    // croner leaves the reference itself out.
    for (let reference = now + 1; times.length < count; ) {
      const time = cron.previousRuns(1, new Date(reference))[0]?.getTime();
      if (time === undefined || time <= done) break;
      times.push(time);
      reference = time;
    }
    return times;
  };

  return {
    due(done, now) {
      const kept = catchUp === "all" ? maxCatchUp : 1;
      const times = pending(done, now, kept + maxCounted);
      const deliverable = times.slice(0, kept).filter((time) => catchUp !== "none" || now - time <= maxLateMs);
      const time = deliverable.at(-1);
      return time === undefined ? undefined : { time, skipped: times.length - deliverable.length };
    },
    next: (time) => cron.nextRun(new Date(time))?.getTime(),
  };
}

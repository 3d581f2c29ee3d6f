import { randomBytes } from "node:crypto";
import type { Clock, InputEvent, InputLease, InputSource, Settlement } from "@mecha/component";
import type { CronConfig } from "./config.js";
import type { Claim, Journal, Progress } from "./journal.js";
import type { Firing, Schedule } from "./schedule.js";

/** What every consumer of a component shares. */
export interface CronContext {
  readonly config: CronConfig;
  readonly schedule: Schedule;
  readonly clock: Clock;
  /** Aborts when the component closes. */
  readonly closed: AbortSignal;
}

/** A firing that this consumer works on. */
interface Held {
  readonly handle: string;
  readonly firing: Firing;
  readonly before: Progress;
  readonly attempt: number;
  claim: Claim;
  /** When the claim ends. */
  until: number;
}

/** How soon a firing that somebody else holds is looked at again, in ms, though its lease lasts longer: it may have been handed back. */
const maxBlockedMs = 1_000;

/** Consumes the firings of one app, one at a time: of all consumers in all replicas one holds the claim. */
export function createCronSource({ config, schedule, clock, closed }: CronContext, journal: Journal): InputSource {
  let held: Held | undefined;
  let wake = () => {};

  /** Waits for a time, a settlement, or the end; not at all if `signal` is aborted. */
  const waitUntil = (time: number | undefined, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted || closed.aborted) return resolve();
      const cancel = time === undefined ? () => {} : clock.after(Math.max(1, time - clock.now()), () => done());
      const done = () => {
        cancel();
        wake = () => {};
        signal.removeEventListener("abort", done);
        closed.removeEventListener("abort", done);
        resolve();
      };
      wake = done;
      signal.addEventListener("abort", done, { once: true });
      closed.addEventListener("abort", done, { once: true });
    });

  /** Takes the firing that is due, or says when to look again. */
  const tryClaim = async (leaseMs: number): Promise<InputLease | { readonly again: number | undefined }> => {
    const now = clock.now();
    if (held !== undefined && held.until > now) return { again: held.until };
    const state = await journal.read(now);
    const { progress } = state;
    const firing = schedule.due(progress.done, now);
    if (firing === undefined) return { again: schedule.next(Math.max(now, progress.done)) };
    const tried = progress.tried?.time === firing.time ? progress.tried : undefined;
    if (tried !== undefined && tried.notBefore > now) return { again: tried.notBefore };
    const attempt = (tried?.attempts ?? 0) + 1;
    const claimed: Progress = { done: progress.done, tried: { time: firing.time, attempts: attempt, notBefore: 0 } };
    const claim = await journal.claim(state, claimed, leaseMs);
    if (claim === undefined) {
      const end = await journal.claimEnd();
      return { again: end === undefined ? now : Math.min(Math.max(end, now + 1), now + maxBlockedMs) };
    }
    const handle = randomBytes(16).toString("base64url");
    held = { handle, firing, before: progress, attempt, claim, until: now + leaseMs };
    return { handle, attempt, event: toEvent(firing, config) };
  };

  const settle = async (settlement: Settlement): Promise<boolean> => {
    if (held?.handle !== settlement.handle) return false;
    const { claim, firing, before, attempt } = held;
    const counted = await journal.settle(claim, progressAfter(settlement, firing, before, attempt, clock.now()));
    held = undefined;
    wake();
    return counted;
  };

  return {
    async receive({ leaseMs, signal }) {
      for (;;) {
        if (closed.aborted) return [];
        const taken = await tryClaim(leaseMs);
        if ("handle" in taken) return [taken];
        if (signal.aborted) return [];
        await waitUntil(taken.again, signal);
      }
    },

    async settle(settlements) {
      const counted: boolean[] = [];
      for (const settlement of settlements) counted.push(await settle(settlement));
      return counted;
    },

    async extend(handles, leaseMs) {
      const counted: boolean[] = [];
      for (const handle of handles) {
        const mine = held?.handle === handle ? held : undefined;
        const claim = mine && (await journal.extend(mine.claim, leaseMs));
        if (mine !== undefined && claim !== undefined) Object.assign(mine, { claim, until: clock.now() + leaseMs });
        counted.push(claim !== undefined);
      }
      return counted;
    },

    async close() {
      if (held !== undefined) await settle({ type: "release", handle: held.handle });
    },
  };
}

/** What is known once a firing was settled. */
function progressAfter(
  settlement: Settlement,
  firing: Firing,
  before: Progress,
  attempt: number,
  now: number,
): Progress {
  switch (settlement.type) {
    case "retry": {
      const { time } = firing;
      return { done: before.done, tried: { time, attempts: attempt, notBefore: now + settlement.afterMs } };
    }
    case "release": {
      const { time } = firing;
      return { done: before.done, tried: { time, attempts: attempt - 1, notBefore: 0 } };
    }
    default:
      return { done: firing.time };
  }
}

function toEvent({ time, skipped }: Firing, { schedule, timeZone }: CronConfig): InputEvent {
  return {
    id: new Date(time).toISOString(),
    time,
    data: new Uint8Array(),
    contentType: "",
    metadata: { schedule, timeZone, skipped: String(skipped) },
  };
}

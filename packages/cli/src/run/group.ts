import { exitCodes, signalExitCode } from "../errors.js";
import { handleSignals } from "../signals.js";
import type { End, Member } from "./member.js";

/** An app of a group. */
export interface GroupEntry {
  member: Member;
  /** The names of those that must be ready before it starts, and run until it has ended. Those that are not of the group do not count. */
  dependsOn: readonly string[];
}

/** Who is told how a group does. */
export interface GroupEvents {
  /** Every runtime is ready; no app has been started. */
  onStart?(): void;
  /** An app ended for good. */
  onEnd?(member: Member, end: End): void;
}

/**
 * Runs apps, each beside its runtime, until all have ended for good; resolves with how, in the order of `entries`. Rejects if a runtime does not
 * start at all: then no app is.
 */
export async function runGroup(entries: readonly GroupEntry[], events: GroupEvents = {}): Promise<End[]> {
  const members = entries.map(({ member }) => member);
  const runs = new Map<string, Promise<End>>();
  const stopped = Promise.withResolvers<NodeJS.Signals>();

  const killAll = (signal: NodeJS.Signals) => {
    for (const member of members) member.kill();
    setImmediate(() => process.exit(signalExitCode(signal)));
  };
  handleSignals({
    first(signal) {
      // There is nothing that could finish: the runtimes start, or drain.
      if (runs.size === 0 || members.every(({ draining }) => draining)) return killAll(signal);
      stopped.resolve(signal);
      for (const member of members) {
        const dependents = entries.filter(({ dependsOn }) => dependsOn.includes(member.name));
        void Promise.all(dependents.map((entry) => runs.get(entry.member.name))).then(() => member.stop(signal));
      }
    },
    second: killAll,
  });

  const launch = async ({ member, dependsOn }: GroupEntry): Promise<End> => {
    const needed = members.filter(({ name }) => dependsOn.includes(name));
    const ready = Promise.all(needed.map(async (other) => ((await other.ready()) ? undefined : other.name)));
    const outcome = await Promise.race([ready, stopped.promise]);
    if (typeof outcome === "string") member.stop(outcome);
    const missing = typeof outcome === "string" ? undefined : outcome.find((name) => name !== undefined);
    if (missing === undefined) return await member.run();
    await member.abandon();
    return { code: exitCodes.failed, failed: true, how: `it was not started: it depends on ${missing}, which failed` };
  };

  const starts = await Promise.allSettled(members.map((member) => member.startRuntime()));
  const failure = starts.find((start) => start.status === "rejected");
  if (failure !== undefined) {
    await Promise.all(members.map((member) => member.abandon()));
    throw failure.reason;
  }
  events.onStart?.();
  for (const entry of entries) {
    const run = launch(entry).then((end) => {
      events.onEnd?.(entry.member, end);
      return end;
    });
    runs.set(entry.member.name, run);
  }
  return await Promise.all(runs.values());
}

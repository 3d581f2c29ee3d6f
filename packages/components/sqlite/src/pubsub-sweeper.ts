import type { Clock, Logger } from "@mecha/component";
import type { Connection } from "./connection.js";
import type { PubSubReads } from "./pubsub-reads.js";

const intervalMs = 30_000;
/** How many jobs in a row may look at events that are still needed before the sweep rests. */
const vainJobs = 10;

/** Starts forgetting what is old, in small jobs; the function that is returned ends it. Deliveries never depend on it. */
export function startPubSubSweeper(
  { reader, writer }: Connection,
  reads: PubSubReads,
  { clock, logger, retentionMs }: { clock: Clock; logger: Logger; retentionMs: number },
): () => void {
  let isClosed: boolean = false;
  let isSweeping: boolean = false;
  /** Where the last sweep rested, so that events which are needed for long do not hide those after them. */
  let after = 0;
  let cancelTimer = () => {};

  async function sweep(): Promise<void> {
    if (!(await reader.read(() => reads.isSweepDue(clock.now(), retentionMs)))) return;
    for (let vain = 0; vain < vainJobs && !isClosed; ) {
      const { removed, next } = await writer.submit("pubsub.sweep", { after, retentionMs });
      after = next ?? 0;
      if (removed === 0) vain += 1;
      if (removed === 0 && next === null) return;
    }
  }

  function schedule(): void {
    if (isClosed) return;
    cancelTimer = clock.after(intervalMs, () => {
      schedule();
      if (isSweeping) return;
      isSweeping = true;
      sweep()
        .catch((error: unknown) => {
          if (!isClosed) logger.warn("cannot forget old events; will try again", { error: String(error) });
        })
        .finally(() => {
          isSweeping = false;
        });
    });
  }

  schedule();
  return () => {
    isClosed = true;
    cancelTimer();
  };
}

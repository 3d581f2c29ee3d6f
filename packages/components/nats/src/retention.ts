import type { Clock, Logger } from "@mecha/component";
import type { ConsumerInfo, JetStreamManager, StreamState } from "@nats-io/jetstream";
import type { Settings } from "./config.js";
import { nextBySubject } from "./message-query.js";
import type { Topology } from "./topology.js";

const sweepMs = 60_000;

/**
 * Forgets what is older than the retention and done by every group, of the topics that this runtime uses. Streams have no age limit of their
 * own: that would take events from groups that have not had them yet.
 */
export function startRetention(
  topology: Topology,
  { eventRetentionMs }: Pick<Settings, "eventRetentionMs">,
  { clock, logger }: { clock: Clock; logger: Logger },
): () => void {
  const sweep = async () => {
    for (const stream of topology.topics) {
      try {
        await topology.manage((jsm) => forget(jsm, stream, clock.now() - eventRetentionMs));
      } catch (error) {
        logger.debug("old events could not be forgotten; trying again", { stream, error: String(error) });
      }
    }
    cancel = clock.after(nextMs(), sweep);
  };
  let cancel = clock.after(nextMs(), sweep);
  return () => cancel();
}

/** Runtimes take turns rather than sweep together. */
const nextMs = () => sweepMs / 2 + Math.random() * sweepMs;

/** Forgets a stream's events from before `time` that no consumer needs. */
export async function forget(jsm: JetStreamManager, stream: string, time: number): Promise<void> {
  const { state } = await jsm.streams.info(stream);
  if (state.messages === 0 || Date.parse(state.first_ts) >= time) return;
  let done = state.last_seq;
  let listed = 0;
  for await (const consumer of jsm.consumers.list(stream)) {
    done = Math.min(done, doneBy(consumer, state));
    listed += 1;
  }
  // A cluster leaves out those that have no leader now, and what they need.
  if (listed < state.consumer_count) return;
  const seq = Math.min(done + 1, await firstSince(jsm, stream, state, time));
  if (seq > state.first_seq) await jsm.streams.purge(stream, { seq });
}

/** Up to where a consumer needs nothing more. One of a partition that is idle has no place of its own: it has seen all there was. */
function doneBy(
  { num_pending, num_ack_pending, ack_floor, delivered }: ConsumerInfo,
  { last_seq }: StreamState,
): number {
  if (num_ack_pending > 0) return ack_floor.stream_seq;
  return num_pending === 0 ? last_seq : delivered.stream_seq;
}

/** The first sequence of a message that is not older than `time`; the one after the last if there is none. */
async function firstSince(jsm: JetStreamManager, stream: string, state: StreamState, time: number): Promise<number> {
  let [low, high] = [state.first_seq, state.last_seq + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await jsm.streams.getMessage(stream, nextBySubject(middle, ">"));
    if (message === null || message.time.getTime() >= time) high = middle;
    else low = message.seq + 1;
  }
  return low;
}

import type { InputEvent } from "@mecha/component";

/** A message that the broker waits to hear about. */
interface Unacked {
  readonly messageId: number;
  readonly event: InputEvent;
  settled: boolean;
}

/**
 * Messages of this session that the broker has not been told are done. It sends them again, under the same number, when the connection was lost: what
 * the app is at work on must not reach it twice, and what it is done with need not reach it again.
 */
export interface UnackedMessages {
  /** What is known of a message that came: it is new, the app has it, or the app is done with it. */
  classify(messageId: number, isDuplicate: boolean): "new" | "held" | "done";
  add(messageId: number, event: InputEvent): void;
  /** Notes that the app is done; the number to tell the broker, or undefined if it waits no more. */
  settle(event: InputEvent): number | undefined;
  /** The broker has been told. */
  told(messageId: number): void;
  /** The broker knows nothing of the session any more. */
  clear(): void;
}

export function createUnackedMessages(): UnackedMessages {
  const byId = new Map<number, Unacked>();
  const byEvent = new Map<InputEvent, Unacked>();

  const forget = (messageId: number) => {
    const known = byId.get(messageId);
    if (known === undefined) return;
    byId.delete(messageId);
    byEvent.delete(known.event);
  };

  return {
    classify(messageId, isDuplicate) {
      const known = byId.get(messageId);
      // A number that was used again without being a duplicate is another message's.
      if (known === undefined || !isDuplicate) return "new";
      return known.settled ? "done" : "held";
    },
    add(messageId, event) {
      forget(messageId);
      const unacked = { messageId, event, settled: false };
      byId.set(messageId, unacked);
      byEvent.set(event, unacked);
    },
    settle(event) {
      const known = byEvent.get(event);
      if (known === undefined) return undefined;
      known.settled = true;
      return known.messageId;
    },
    told: forget,
    clear() {
      byId.clear();
      byEvent.clear();
    },
  };
}

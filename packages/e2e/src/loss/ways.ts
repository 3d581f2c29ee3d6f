import { createPubSubClient, type PublishEntry } from "@mecha/pubsub";
import { createStateClient, MechaError, operation } from "@mecha/state";
import { type EventName, eventId } from "./protocol.ts";

/** A way to publish. */
export interface Way {
  /** Publishes once; per event "published", or the error. */
  publish(events: readonly EventName[]): Promise<unknown[]>;
  close(): Promise<void>;
}

/** By Publish what is one, by PublishMany what are several. */
export function byCall(endpoint: string, topic: string): Way {
  const pubsub = createPubSubClient({ endpoint });
  const toEntry = (event: EventName): PublishEntry => ({ topic, ...toEvent(event), data: dataOf(event) });
  return {
    async publish(events) {
      const [first] = events;
      try {
        if (first !== undefined && events.length === 1) {
          await pubsub.publish(topic, dataOf(first), toEvent(first));
          return ["published"];
        }
        const outcomes = await pubsub.publishMany(events.map(toEntry));
        return outcomes.map((outcome) => (outcome.ok ? "published" : outcome.error));
      } catch (error) {
        return events.map(() => error);
      }
    },
    close: pubsub.close,
  };
}

/**
 * By transactions of a state store, which remember the last number of each key. Each goes behind one that fails, and whose event must never be
 * delivered: nobody has announced it.
 */
export function byTransaction(endpoint: string, topic: string): Way {
  const state = createStateClient({ endpoint });
  return {
    async publish(events) {
      const last = new Map(events);
      try {
        await mustFail(
          state.transact([
            operation.check("nothing is stored here", { ifExists: true }),
            operation.publish(topic, { number: 0 }, { id: "of a transaction that failed" }),
          ]),
        );
        await state.transact([
          ...Array.from(last, ([key, number]) => operation.set(key, number)),
          ...events.map((event) => operation.publish(topic, dataOf(event), toEvent(event))),
        ]);
        return events.map(() => "published");
      } catch (error) {
        return events.map(() => error);
      }
    },
    close: state.close,
  };
}

/** Rejects unless a transaction fails for its precondition. */
async function mustFail(transaction: Promise<unknown>): Promise<void> {
  const error = await transaction.then(
    () => new Error("a transaction whose precondition fails was committed"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof MechaError && error.reason === "NOT_EXISTS")) throw error;
}

const toEvent = (event: EventName) => ({ id: eventId(event), orderingKey: event[0] });

const dataOf = ([, number]: EventName) => ({ number });

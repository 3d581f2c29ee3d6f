import type { Component } from "../../../component.js";
import { type EntryOptions, entry, type Session } from "../../../pubsub/conformance/kit.js";
import type { PubSubEntry } from "../../../pubsub/interface.js";
import type { StateOperation, StatePublish, StateRequestId, StateResult } from "../../interface.js";
import type { StateKit } from "../kit.js";
import type { StateSession } from "../session.js";

/** Both blocks of one component: the case's keyspace of its state, and of its pubsub. */
export interface Outbox {
  readonly state: StateSession;
  readonly events: Session;
  readonly component: Component;
  write(
    operations: readonly StateOperation[],
    publishes: readonly PubSubEntry[],
    requestId?: StateRequestId,
  ): Promise<StateResult[]>;
}

/** A case's own outbox. */
export async function open(kit: StateKit): Promise<Outbox> {
  const component = await kit.component();
  const [state, events] = [kit.session(component), kit.events(component)];
  const within = (found: PubSubEntry): StatePublish => ({ keyspace: events.keyspace, entry: found });
  return {
    component,
    state,
    events,
    write: (operations, publishes, requestId) => state.write(operations, requestId, undefined, publishes.map(within)),
  };
}

/** Two over the same storage, as in two processes; the same one twice where components share nothing. */
export async function pair(kit: StateKit): Promise<[Outbox, Outbox]> {
  const first = await open(kit);
  return [first, kit.harness.shared ? await open(kit) : first];
}

/** An event of the topic "t" whose payload is its name. */
export const named = (name: string, options: EntryOptions = {}) => entry("t", name, options);

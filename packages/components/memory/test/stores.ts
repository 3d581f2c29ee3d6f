import { type Clock, type Component, ComponentError, type PubSub, type StateStore } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { memory } from "../src/index.js";

/** A store and the pubsub of the same component. */
export interface Opened {
  readonly store: StateStore;
  readonly pubsub: PubSub;
  close(): Promise<void>;
}

/** How a client differs from what it is a client of. */
export type Change = (store: StateStore, pubsub: PubSub) => Partial<StateStore>;

/** A store that does what `store` does, except for what `change` says. */
function except(store: StateStore, change: (store: StateStore) => Partial<StateStore>): StateStore {
  return {
    features: store.features,
    durability: store.durability,
    get: (call) => store.get(call),
    getMany: (call) => store.getMany(call),
    write: (call) => store.write(call),
    list: (call) => store.list(call),
    watch: (call) => store.watch(call),
    ...change(store),
  };
}

/** How many deletions the stores of these tests remember. */
export const history = 1_000;

/** Makes the store forget what a resume token would need. */
export async function expireResumeTokens({ blocks: { state } }: Component, keyspace: string): Promise<void> {
  const value = new Uint8Array();
  for (let deletions = 0; deletions <= history; deletions++) {
    const key = `filler-${deletions}`;
    const set = { type: "set", key, value, contentType: "", ttlMs: undefined, precondition: undefined } as const;
    const remove = { type: "delete", key, precondition: undefined } as const;
    await state?.write({ keyspace, requestId: undefined, operations: [set] });
    await state?.write({ keyspace, requestId: undefined, operations: [remove] });
  }
}

export async function openStore(clock: Clock): Promise<Opened> {
  const component = await startComponent(memory, { history }, { clock });
  const { state, pubsub } = component.blocks;
  return { store: state as StateStore, pubsub: pubsub as PubSub, close: () => component.close() };
}

export function componentOf(
  { store, pubsub }: Pick<Opened, "store" | "pubsub">,
  close: () => Promise<void> = async () => {},
): Component {
  return { blocks: { state: store, pubsub }, health: async () => {}, close };
}

/**
 * A component over a store that outlives it, as a database outlives its clients: several at once see the same, and closing one ends that one's
 * calls only. What it does differs from what the store does as `change` says.
 */
export function clientOf({ store, pubsub }: Opened, change: Change = () => ({})): Component {
  const closed = new AbortController();
  const guard = <Call, Answer>(answer: (call: Call) => Answer) => {
    return (call: Call): Answer => {
      if (closed.signal.aborted) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
      return answer(call);
    };
  };
  const client: StateStore = {
    features: store.features,
    durability: "HOST",
    get: guard((call) => store.get(call)),
    getMany: guard((call) => store.getMany(call)),
    write: guard((call) => store.write(call)),
    list: guard((call) => store.list(call)),
    async *watch(call) {
      if (closed.signal.aborted) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
      yield* store.watch({ ...call, signal: AbortSignal.any([call.signal, closed.signal]) });
    },
  };
  return componentOf({ store: except(client, (own) => change(own, pubsub)), pubsub }, async () => closed.abort());
}

import type { StateChange, StateOperation, StateStore } from "@mecha/component";
import type { Change } from "../stores.js";

/** A way in which a store may be wrong, and the cases that must notice. */
export interface Mutant {
  /** Completes "a store that …". */
  readonly name: string;
  readonly caught: readonly string[];
  /** What it does instead; made anew for each component that is opened. */
  readonly change: Change;
}

export type WriteCall = Parameters<StateStore["write"]>[0];
export type WatchCall = Parameters<StateStore["watch"]>[0];

/** Lets everything else that is due happen. */
export const turn = () => new Promise(setImmediate);

/** A write whose operations are changed on their way. */
export function withOperations(
  store: StateStore,
  change: (operation: StateOperation) => StateOperation,
): StateStore["write"] {
  return (call) => store.write({ ...call, operations: call.operations.map(change) });
}

/** A watch whose changes are changed on their way. */
export async function* withChanges(
  store: StateStore,
  call: WatchCall,
  map: (change: StateChange, synced: boolean) => StateChange[],
): AsyncGenerator<StateChange[]> {
  let synced = false;
  for await (const batch of store.watch(call)) {
    yield batch.flatMap((change) => {
      synced ||= change.type === "synced";
      return map(change, synced);
    });
  }
}

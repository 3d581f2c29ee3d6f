import type { Client } from "@connectrpc/connect";
import type { Item, StateService } from "@mecha/api/state";
import type { Codec, RuntimeConnection } from "@mecha/client";
import { type StateItem, toEntry } from "./item.js";

/** A part of a store and how its values look: what a collection, and the client as the collection of everything, works on. */
export interface Scope<In, Out> {
  readonly runtime: RuntimeConnection;
  readonly rpc: Client<typeof StateService>;
  /** The component; empty means the runtime's default. */
  readonly store: string;
  /** What every key begins with; callers neither pass nor see it. */
  readonly prefix: string;
  readonly codec: Codec<In, Out>;
}

/** What errors call a value. */
export function nameOf(key: string): string {
  return `the value of "${key}"`;
}

/** An item as callers see it. */
export async function decodeItem<Out>(scope: Scope<never, Out>, item: Item): Promise<StateItem<Out>> {
  return { ...toEntry(item, scope.prefix), value: await scope.codec.decode(item, nameOf(item.key)) };
}

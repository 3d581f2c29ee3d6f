import type { Item } from "@mecha/api/state";
import { toRpcOptions } from "@mecha/client";
import type { StateCallOptions } from "./options.js";
import type { Scope } from "./scope.js";

/** What to list. */
export interface ListOptions extends StateCallOptions {
  /** Only keys that begin with this. Default: every key (of the collection). */
  prefix?: string;
  /** How many items the runtime is asked for at once: 1 to 1000. Default 100. */
  pageSize?: number;
}

/** Some of the items. */
export interface StatePage<Entry> {
  readonly items: Entry[];
  /** Asks for the next page; undefined if this was the last one. */
  readonly nextPageToken: string | undefined;
}

/** Items by key, in byte order. Iterating asks for page after page, each a call with its own deadline; every iteration starts anew. */
export interface StateList<Entry> extends AsyncIterable<Entry, void, undefined> {
  /** One page: the first, or that of a `nextPageToken`. */
  page(pageToken?: string): Promise<StatePage<Entry>>;
}

export function createList<Entry>(
  scope: Scope<never, unknown>,
  options: ListOptions,
  keysOnly: boolean,
  toResult: (item: Item) => Entry | Promise<Entry>,
): StateList<Entry> {
  const page = async (pageToken = ""): Promise<StatePage<Entry>> => {
    const response = await scope.rpc.list(
      {
        store: options.store ?? scope.store,
        prefix: scope.prefix + (options.prefix ?? ""),
        pageSize: options.pageSize ?? 0,
        pageToken,
        keysOnly,
      },
      toRpcOptions(options),
    );
    return {
      items: await Promise.all(response.items.map(toResult)),
      nextPageToken: response.nextPageToken || undefined,
    };
  };
  return {
    page,
    async *[Symbol.asyncIterator]() {
      let pageToken: string | undefined;
      do {
        const { items, nextPageToken } = await page(pageToken);
        yield* items;
        pageToken = nextPageToken;
      } while (pageToken !== undefined);
    },
  };
}

import { type Clock, ComponentError, type Logger, type StateItem, type StateStore } from "@mecha/component";
import type { Settings } from "./config.js";
import type { Connection } from "./connection.js";
import { rangeAfter, rangeOfPrefix } from "./ranges.js";
import type { BareOperation } from "./state-jobs.js";
import { createStateReads } from "./state-reads.js";
import { createSweeper } from "./state-sweeper.js";
import { createWatch } from "./state-watch.js";

/** The state block over a connection. */
export function createStateStore(
  connection: Connection,
  settings: Settings,
  { clock, logger }: { clock: Clock; logger: Logger },
): { store: StateStore; close(): void } {
  const { reader, writer } = connection;
  const reads = createStateReads(reader.db, clock);
  const sweeper = createSweeper(connection, { clock, logger });
  const watch = createWatch(connection, reads, sweeper);

  const store: StateStore = {
    features: stateFeatures,
    durability: settings.durability,

    get({ keyspace, key }) {
      // Answered at once, so nobody can have left: asking for the signal would have the runtime make one.
      return reader.read(() => reads.get(keyspace, key));
    },

    getMany({ keyspace, keys, maxBytes, signal }) {
      signal?.throwIfAborted();
      return reader.snapshot(() => {
        const items: StateItem[] = [];
        let bytes = 0;
        for (const key of keys) {
          const item = reads.get(keyspace, key);
          if (item === undefined) continue;
          bytes += item.value.byteLength;
          if (bytes > maxBytes) throw tooLarge(maxBytes);
          items.push(item);
        }
        return items;
      });
    },

    write({ keyspace, operations, requestId, signal }) {
      const blobs: Uint8Array[] = [];
      const bare = operations.map((operation): BareOperation => {
        if (operation.type !== "set") return operation;
        const { value, ...rest } = operation;
        blobs.push(value);
        return rest;
      });
      return writer.submit("state.write", { keyspace, operations: bare, requestId }, { blobs, signal });
    },

    list({ keyspace, prefix, after, limit, maxBytes, keysOnly, signal }) {
      signal?.throwIfAborted();
      const range = rangeOfPrefix(prefix);
      return reader.read(() => reads.list(keyspace, rangeAfter(range, after), { limit, maxBytes, keysOnly }));
    },

    watch,
  };
  return { store, close: sweeper.close };
}

/** All of them, natively. */
export const stateFeatures = ["TRANSACT", "WATCH", "TTL"] as const;

function tooLarge(maxBytes: number): ComponentError {
  return new ComponentError("TOO_LARGE", `the values are more than ${maxBytes} bytes together; ask for fewer keys`, {
    metadata: { limit_bytes: String(maxBytes) },
  });
}

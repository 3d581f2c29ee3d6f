import {
  type Clock,
  ComponentError,
  type Logger,
  requirePublishable,
  type StateItem,
  type StateStore,
} from "@mecha/component";
import type { Settings } from "./config.js";
import type { Connection } from "./connection.js";
import { faultOf, toBareEntry } from "./pubsub-publishable.js";
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

    get(call) {
      return reader.read(() => reads.get(call.keyspace, call.key), call);
    },

    getMany(call) {
      const { keyspace, keys, maxBytes } = call;
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
      }, call);
    },

    write({ keyspace, operations, publishes = [], requestId, signal }) {
      requirePublishable(publishes, faultOf);
      const blobs: Uint8Array[] = [];
      const bare = operations.map((operation): BareOperation => {
        if (operation.type !== "set") return operation;
        const { value, ...rest } = operation;
        blobs.push(value);
        return rest;
      });
      blobs.push(...publishes.map(({ entry }) => entry.payload));
      const events = publishes.map(({ keyspace, entry }) => ({ keyspace, entry: toBareEntry(entry) }));
      return writer.submit(
        "state.write",
        { keyspace, operations: bare, publishes: events, requestId },
        { blobs, signal },
      );
    },

    list(call) {
      const range = rangeAfter(rangeOfPrefix(call.prefix), call.after);
      return reader.read(() => reads.list(call.keyspace, range, call), call);
    },

    watch,
  };
  return { store, close: sweeper.close };
}

/** All of them, natively. */
export const stateFeatures = ["TRANSACT", "WATCH", "TTL", "OUTBOX"] as const;

function tooLarge(maxBytes: number): ComponentError {
  return new ComponentError("TOO_LARGE", `the values are more than ${maxBytes} bytes together; ask for fewer keys`, {
    metadata: { limit_bytes: String(maxBytes) },
  });
}

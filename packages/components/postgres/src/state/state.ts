import type { Durability, StateFeature, StateResult, StateStore } from "@mecha/component";
import type { Connection } from "../connection.js";
import { createChangeLog } from "./changes.js";
import type { EncodePublishes } from "./publishing-writes.js";
import { createReader } from "./reads.js";
import { Sweeper } from "./sweeper.js";
import { Watches } from "./watch.js";
import { createWriter } from "./writes.js";

export const features: readonly StateFeature[] = ["TRANSACT", "WATCH", "TTL", "OUTBOX"];

/** Every durability that a server's settings can bring, and when. */
export const durabilities = {
  REPLICATED: "`synchronous_standby_names` is set, and `synchronous_commit` is `on` or `remote_apply`",
  HOST: "PostgreSQL's defaults: `fsync` and `synchronous_commit` are on",
  PROCESS: "`fsync` or `synchronous_commit` is off",
} satisfies Record<Durability, string>;

/** The state block over a connection. */
export function createStateStore(
  connection: Connection,
  encodePublishes: EncodePublishes,
): StateStore & { close(): Promise<void> } {
  const channel = `${connection.schema}_state`;
  const reader = createReader(connection);
  const writer = createWriter(connection, encodePublishes);
  const watches = new Watches(createChangeLog(connection), () => sweeper.hurry());
  const tell = () => {
    watches.look();
    connection.notifications.notify(channel);
  };
  const sweeper = new Sweeper(connection, { isWatched: () => watches.count > 0, onExpired: tell });
  connection.onReturn(() => watches.look());
  let isListening = false;

  return {
    features,
    get durability() {
      return connection.durability;
    },
    ...reader,
    async write(call): Promise<StateResult[]> {
      const results = await writer.write(call);
      tell();
      return results;
    },
    watch(call) {
      if (!isListening) connection.notifications.listen(channel, () => watches.look());
      isListening = true;
      return watches.watch(call);
    },
    async close() {
      sweeper.close();
      watches.close();
      await Promise.all([reader.close(), writer.close()]);
    },
  };
}

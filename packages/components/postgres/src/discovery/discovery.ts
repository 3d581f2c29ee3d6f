import {
  type AppCall,
  AppWatches,
  appMemoryMs,
  type Discovery,
  type FoundApp,
  type Instance,
  type Logger,
} from "@mecha/component";
import { encodeTexts } from "../binary.js";
import type { Connection, Row } from "../connection.js";
import { channelOf, discoveryStatements } from "./statements.js";

export const discoveryFeatures = ["REGISTER", "LIST"] as const;

/** Sent again if its answer is lost: done twice it is done once. */
const effect = "read";

/** The discovery block over a connection: leases are rows, which end by the server's clock. */
export function createDiscovery(connection: Connection, logger: Logger): { discovery: Discovery; close(): void } {
  const { notifications, schema } = connection;
  const statements = discoveryStatements(schema);
  const watches = new AppWatches({
    find,
    onFailure: (error) =>
      logger.warn("cannot look for apps that are watched; will try again", { error: String(error) }),
  });
  let isListening = false;

  async function find(apps: readonly AppCall[], signal?: AbortSignal): Promise<FoundApp[]> {
    const values = [encodeTexts(apps.map(({ namespace }) => namespace)), encodeTexts(apps.map(({ app }) => app))];
    const rows = await connection.query(statements.find, values, { effect, signal });
    const byNumber = Map.groupBy(rows, ([number]) => Number(number));
    return apps.map(({ app }, index) => toFound(app, byNumber.get(index + 1) ?? []));
  }

  /** One channel for all apps, from the first watch on. */
  function listen(): void {
    if (isListening) return;
    isListening = true;
    let heard = false;
    notifications.listen(channelOf(schema), (notice) => {
      if (notice !== undefined) {
        const [namespace = "", app = ""] = notice.split("/");
        watches.changed({ namespace, app });
      } else if (heard) watches.missed();
      else watches.changed();
      heard = true;
    });
  }

  connection.onReturn(() => watches.missed());

  return {
    discovery: {
      features: discoveryFeatures,
      describe: ({ namespace }) => `in namespace "${namespace}" of the PostgreSQL database that its runtimes share`,
      async resolve({ signal, ...call }) {
        const [found] = await find([call], signal);
        return found?.instances;
      },
      watch(call) {
        listen();
        return watches.watch(call);
      },
      async list({ namespace, signal }) {
        const rows = await connection.query(statements.list, [namespace], { effect, signal });
        return rows.map(([app]) => String(app));
      },
      leases: {
        async register({ namespace, instance, ttlMs }) {
          const { app, id, address, version, zone, weight } = instance;
          await connection.query(statements.register, [namespace, app, id, address, version, zone, weight, ttlMs], {
            effect,
          });
          // Rows come by registrations alone, so they are counted there. What is left is for the next one.
          connection.query(statements.sweep, [], { effect }).catch(() => {});
        },
        async renew({ namespace, app, id, ttlMs }) {
          return (await connection.query(statements.renew, [namespace, app, id, ttlMs], { effect })).length > 0;
        },
        async deregister({ namespace, app, id }) {
          await connection.query(statements.deregister, [namespace, app, id], { effect });
        },
      },
    },
    close: () => watches.close(),
  };
}

/** An app by its rows; what is over tells only that it is known. */
function toFound(app: string, rows: readonly Row[]): FoundApp {
  if (rows.length === 0) return { instances: undefined, endsInMs: undefined };
  const live = rows.filter(([, , , , , , leftMs]) => Number(leftMs) > 0);
  const ends = (live.length > 0 ? live : rows).map(([, , , , , , leftMs]) => Number(leftMs));
  return {
    instances: live.map((row) => toInstance(app, row)),
    endsInMs: live.length > 0 ? Math.min(...ends) : Math.max(...ends) + appMemoryMs,
  };
}

function toInstance(app: string, [, id, address, version, zone, weight]: Row): Instance {
  return {
    id: String(id),
    app,
    address: String(address),
    version: String(version),
    zone: String(zone),
    weight: Number(weight),
  };
}

import { type AppCall, appMemoryMs, type Clock, type Discovery, type Instance, type Logger } from "@mecha/component";
import type { Connection } from "../connection.js";

export const discoveryFeatures = ["REGISTER", "LIST"] as const;

/** How long after a read that failed it is read again, in ms. */
const retryMs = 250;

/** What is known of an app: its instances, and when the first of their leases ends. */
interface Found {
  readonly instances: readonly Instance[] | undefined;
  readonly nextExpiry: number | undefined;
}

/** The discovery block over a connection: leases are rows, and who looks compares their ends with the clock. */
export function createDiscovery(
  { reader, writer, changes, closing }: Connection,
  { clock, logger }: { clock: Clock; logger: Logger },
): Discovery {
  const select = reader.db.prepare(
    "SELECT id, app, address, version, zone, weight, expire_time FROM discovery_instance WHERE namespace = ? AND app = ? ORDER BY id",
  );
  const apps = reader.db.prepare(
    "SELECT DISTINCT app FROM discovery_instance WHERE namespace = ? AND expire_time > ? ORDER BY app",
  );

  function find({ namespace, app }: AppCall): Found {
    const now = clock.now();
    const rows = select.all(namespace, app).filter((row) => Number(row.expire_time) > now - appMemoryMs);
    const live = rows.filter((row) => Number(row.expire_time) > now);
    if (rows.length === 0) return { instances: undefined, nextExpiry: undefined };
    // An app that has nobody left is forgotten at some time, too.
    const ends =
      live.length > 0
        ? live.map((row) => Number(row.expire_time))
        : rows.map((row) => Number(row.expire_time) + appMemoryMs);
    return { instances: live.map(toInstance), nextExpiry: live.length > 0 ? Math.min(...ends) : Math.max(...ends) };
  }

  async function* watch(call: AppCall & { readonly signal: AbortSignal }): ReturnType<Discovery["watch"]> {
    const signal = AbortSignal.any([call.signal, closing]);
    let wake = () => {};
    let told: string | undefined;
    // Subscribed before the first look, so that nothing is missed between the two.
    const unsubscribe = changes.subscribe(() => wake());
    const onAbort = () => wake();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        let found: Found | undefined;
        try {
          found = await reader.read(() => find(call), call);
        } catch (error) {
          // The file is locked or ill for a moment; what was told last holds until it can be read.
          logger.debug("cannot look instances up; will try again", { error: String(error) });
        }
        // As text, an unknown app ("null") differs from one without instances ("[]").
        const state = found && JSON.stringify(found.instances ?? null);
        if (found !== undefined && state !== told) {
          told = state;
          yield found.instances;
        }
        const dueMs = found === undefined ? retryMs : found.nextExpiry && found.nextExpiry - clock.now();
        const cancelTimer = dueMs === undefined ? () => {} : clock.after(dueMs, () => wake());
        if (!signal.aborted) await woken;
        cancelTimer();
      }
    } finally {
      unsubscribe();
      signal.removeEventListener("abort", onAbort);
    }
  }

  return {
    features: discoveryFeatures,
    describe: ({ namespace }) => `in namespace "${namespace}" of the SQLite database that runtimes of a host share`,
    async resolve(call) {
      return (await reader.read(() => find(call), call)).instances;
    },
    watch,
    async list({ namespace, signal }) {
      const since = clock.now() - appMemoryMs;
      const rows = await reader.read(() => apps.all(namespace, since), { signal });
      return rows.map(({ app }) => String(app));
    },
    leases: {
      async register({ namespace, instance, ttlMs }) {
        await writer.submit("discovery.register", { namespace, instance, ttlMs });
      },
      renew: ({ namespace, app, id, ttlMs }) => writer.submit("discovery.renew", { namespace, app, id, ttlMs }),
      async deregister({ namespace, app, id }) {
        await writer.submit("discovery.deregister", { namespace, app, id });
      },
    },
  };
}

function toInstance(row: Record<string, unknown>): Instance {
  return {
    id: String(row.id),
    app: String(row.app),
    address: String(row.address),
    version: String(row.version),
    zone: String(row.zone),
    weight: Number(row.weight),
  };
}

import { Resolver } from "node:dns/promises";
import { type AppCall, ComponentError, type Instance } from "@mecha/component";
import type { DnsConfig } from "./config.js";

/** What a lookup found: the instances, undefined if there is no such name; and for how long that holds. */
export interface Found {
  readonly instances: readonly Instance[] | undefined;
  readonly ttlMs: number;
}

/** Looks apps up. */
export interface Lookup {
  nameOf(call: AppCall): string;
  find(call: AppCall): Promise<Found>;
  close(): void;
}

const timeoutMs = 2_000;

export function createLookup(config: DnsConfig): Lookup {
  const { port, servers, minRefreshMs, maxRefreshMs } = config;
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const kubernetes = "{app}.{namespace}.svc.cluster.local";
  const template = config.name ?? (config.records === "srv" ? `_mecha._tcp.${kubernetes}` : kubernetes);
  const nameOf = ({ app, namespace }: AppCall) =>
    template.replaceAll("{app}", app).replaceAll("{namespace}", namespace);
  const clamp = (ms: number) => Math.min(Math.max(ms, minRefreshMs), Math.max(minRefreshMs, maxRefreshMs));

  async function findAddresses({ app, ...call }: AppCall): Promise<Found> {
    const name = nameOf({ app, ...call });
    const [v4, v6] = await Promise.all([
      settle(name, resolver.resolve4(name, { ttl: true })),
      settle(name, resolver.resolve6(name, { ttl: true })),
    ]);
    // Some servers answer for one kind only; that is an answer.
    const answers = [v4, v6].filter((outcome) => "records" in outcome);
    if (answers.length === 0 && "error" in v4) throw v4.error;
    const found = answers.flatMap(({ records }) => records ?? []);
    const exists = answers.every(({ records }) => records !== undefined);
    if (found.length === 0 && !exists) return { instances: undefined, ttlMs: clamp(maxRefreshMs) };
    const instances = found.map(({ address }) => {
      const at = `${address.includes(":") ? `[${address}]` : address}:${port}`;
      return toInstance(app, at, 100);
    });
    const ttlMs = found.length === 0 ? maxRefreshMs : Math.min(...found.map(({ ttl }) => ttl)) * 1000;
    return { instances: sorted(instances), ttlMs: clamp(ttlMs) };
  }

  async function findServices({ app, ...call }: AppCall): Promise<Found> {
    const name = nameOf({ app, ...call });
    const outcome = await settle(name, resolver.resolveSrv(name));
    if ("error" in outcome) throw outcome.error;
    const { records: answer } = outcome;
    const ttlMs = clamp(maxRefreshMs);
    if (answer === undefined) return { instances: undefined, ttlMs };
    // RFC 2782: only those of the first priority, by weight; those of weight 0 are hardly ever taken, unless all are.
    const first = Math.min(...answer.map(({ priority }) => priority));
    const chosen = answer.filter(({ priority }) => priority === first);
    const weighted = chosen.some(({ weight }) => weight > 0);
    const heaviest = Math.max(1, ...chosen.map(({ weight }) => weight));
    const instances = chosen.map(({ name: host, port: at, weight }) => {
      const share = weighted ? Math.max(1, Math.round((weight * 1000) / heaviest)) : 100;
      return toInstance(app, `${host}:${at}`, share);
    });
    return { instances: sorted(instances), ttlMs };
  }

  return {
    nameOf,
    find: config.records === "srv" ? findServices : findAddresses,
    close: () => resolver.cancel(),
  };
}

/** The records: [] if the name has none of that type, undefined if there is no such name; or why nobody knows. */
type Outcome<T> = { readonly records: T[] | undefined } | { readonly error: ComponentError };

async function settle<T>(name: string, answer: Promise<T[]>): Promise<Outcome<T>> {
  try {
    return { records: await answer };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (code === "ENODATA") return { records: [] };
    if (code === "ENOTFOUND") return { records: undefined };
    const message = `cannot look up the DNS name ${name} (${code}): is a DNS server reachable?`;
    return { error: new ComponentError("COMPONENT_UNAVAILABLE", message, { retryAfterMs: 1_000, cause: error }) };
  }
}

function toInstance(app: string, address: string, weight: number): Instance {
  return { id: address, app, address, version: "", zone: "", weight };
}

const sorted = (instances: Instance[]) => instances.sort((a, b) => (a.id < b.id ? -1 : 1));

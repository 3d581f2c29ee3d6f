import { ComponentError, type Durability } from "@mecha/component";
import { ErrorReply } from "@redis/client";

/** What must be known of a server before it is used. */
export interface ServerFacts {
  /** Changes whenever the server starts, and from one server to another. */
  readonly runId: string;
  /** Whether it is a node of a Redis Cluster. */
  readonly cluster: boolean;
  /** What an answered write survives, by its AOF settings. */
  readonly durability: Durability;
}

/** Sends one command to the server that is asked. */
type Ask = (args: string[]) => Promise<unknown>;

/**
 * Looks a server over and refuses one that would break a promise: too old, a replica (its reads are stale), or one that
 * evicts data. Done on every connection, because the server behind an address can change.
 */
export async function admit(ask: Ask, address: string): Promise<ServerFacts> {
  const info = parseInfo(String(await ask(["INFO"])));
  const version = info.get("redis_version") ?? "";
  if (Number.parseInt(version, 10) < 7) {
    throw refused(
      `Redis at ${address} is version ${version}; 7.0 or later is needed (sharded pub/sub, exact expiry times)`,
    );
  }
  const cluster = info.get("cluster_enabled") === "1";
  if (info.get("role") !== "master" && !cluster) {
    throw refused(`Redis at ${address} is a replica; give the address of its primary`);
  }
  const policy = info.get("maxmemory_policy") ?? "";
  if (policy !== "noeviction") {
    throw refused(
      `Redis at ${address} has maxmemory-policy ${policy}: it would silently drop data that was acknowledged when memory runs low; ` +
        "set maxmemory-policy to noeviction, or use another Redis for caches",
    );
  }
  return { runId: info.get("run_id") ?? "", cluster, durability: await durabilityOf(ask) };
}

function refused(message: string): ComponentError {
  return new ComponentError("COMPONENT_UNAVAILABLE", message);
}

/** `HOST` only if each write is synced before it is answered, which no setting may suspend while the file is rewritten. */
async function durabilityOf(ask: Ask): Promise<Durability> {
  const names = ["appendonly", "appendfsync", "no-appendfsync-on-rewrite"];
  let settings: unknown;
  try {
    settings = await ask(["CONFIG", "GET", ...names]);
  } catch (error) {
    // Hosted offerings hide CONFIG: what cannot be proved is not promised.
    if (error instanceof ErrorReply) return "PROCESS";
    throw error;
  }
  const [appendonly, appendfsync, lax] = names.map((name) => (settings as Record<string, string>)[name]);
  return appendonly === "yes" && appendfsync === "always" && lax === "no" ? "HOST" : "PROCESS";
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\r\n").filter((line) => line.includes(":"));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}

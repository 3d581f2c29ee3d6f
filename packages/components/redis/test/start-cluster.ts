import { freePort, startRedis, type TestServer } from "@mecha/test-servers";
import { command, eventually } from "./kit.js";

/** A Redis Cluster of three primaries and, if asked for, a replica of the first. */
export interface TestCluster extends AsyncDisposable {
  readonly primaries: readonly TestServer[];
  readonly replica: TestServer | undefined;
  /** The primary that serves the slot of a key. */
  primaryOf(key: string): Promise<TestServer>;
}

const slots = 16_384;

/** Starts nodes, makes them meet, and waits until they serve all slots. */
export async function startCluster({ replica: withReplica = false } = {}): Promise<TestCluster> {
  const started = new AsyncDisposableStack();
  const start = async () => {
    const busPort = await freePort();
    const settings = { "cluster-enabled": "yes", "cluster-port": String(busPort), "cluster-node-timeout": "1000" };
    const server = started.use(await startRedis({ appendfsync: "off", settings }));
    return { server, busPort };
  };
  try {
    const nodes = await Promise.all(Array.from({ length: withReplica ? 4 : 3 }, start));
    const [first] = nodes;
    if (first === undefined) throw new Error("no node was started");
    const primaries = nodes.slice(0, 3).map(({ server }) => server);
    for (const [index, { url }] of primaries.entries()) {
      const [from, to] = [Math.floor((slots * index) / 3), Math.floor((slots * (index + 1)) / 3) - 1];
      await command(
        url,
        ["CLUSTER", "ADDSLOTSRANGE", String(from), String(to)],
        ["CLUSTER", "SET-CONFIG-EPOCH", String(index + 1)],
      );
    }
    for (const { server, busPort } of nodes.slice(1)) {
      await command(first.server.url, ["CLUSTER", "MEET", "127.0.0.1", String(server.port), String(busPort)]);
    }
    const replica = nodes[3]?.server;
    for (const { server } of nodes) {
      await eventually(
        "every node knows every other",
        async () => {
          const [info] = await command(server.url, ["CLUSTER", "INFO"]);
          const text = String(info);
          return text.includes(`cluster_known_nodes:${nodes.length}`) && text.includes("cluster_state:ok");
        },
        20_000,
      );
    }
    if (replica !== undefined) {
      const [id] = await command(first.server.url, ["CLUSTER", "MYID"]);
      await command(replica.url, ["CLUSTER", "REPLICATE", String(id)]);
      await eventually(
        "the replica follows",
        async () => {
          const [info] = await command(replica.url, ["INFO", "replication"]);
          return String(info).includes("master_link_status:up");
        },
        20_000,
      );
    }
    const disposal = started.move();
    return {
      primaries,
      replica,
      async primaryOf(key) {
        const [slot] = (await command(first.server.url, ["CLUSTER", "KEYSLOT", key])) as [number];
        const found = primaries[Math.floor(((slot + 1) * 3 - 1) / slots)];
        if (found === undefined) throw new Error(`no primary serves slot ${slot}`);
        return found;
      },
      [Symbol.asyncDispose]: () => disposal.disposeAsync(),
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

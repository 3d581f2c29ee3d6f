import {
  missing,
  startNats,
  startPostgres,
  startRabbitmq,
  startRedis,
  type TestServer,
  type Tool,
} from "@mecha/test-servers";

/** A component that promises to lose nothing, as whole-system tests run it. */
export interface Backend {
  readonly name: string;
  /** What it serves. */
  readonly blocks: readonly ("state" | "pubsub")[];
  /** What waits behind an event that is tried again: its ordering key, or in a log its partition. */
  readonly ordersBy: "key" | "partition" | "nothing";
  readonly needs: readonly Tool[];
  /** Its server; undefined for what is embedded. */
  startServer?(): Promise<TestServer>;
  /** The resource file for it. */
  resources(server: TestServer | undefined): string | undefined;
}

const component = (type: string, url: string) => `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: main }
spec:
  type: ${type}
  config: { url: "${url}" }
`;

/** Every component whose answered writes survive a SIGKILL of whatever keeps them. */
export const backends: readonly Backend[] = [
  { name: "sqlite", blocks: ["state", "pubsub"], ordersBy: "key", needs: [], resources: () => undefined },
  {
    name: "postgres",
    blocks: ["state", "pubsub"],
    ordersBy: "key",
    needs: ["postgres"],
    startServer: startPostgres,
    resources: (server) => component("postgres", server?.url ?? ""),
  },
  {
    name: "redis",
    blocks: ["state", "pubsub"],
    ordersBy: "key",
    needs: ["redis"],
    startServer: () => startRedis({ appendfsync: "always" }),
    resources: (server) => component("redis", server?.url ?? ""),
  },
  {
    name: "nats",
    blocks: ["pubsub"],
    ordersBy: "partition",
    needs: ["nats"],
    startServer: startNats,
    // Before 2.10 the server cannot sync every write: a crash of the host may cost some, a SIGKILL must not.
    resources: (server) => `${component("nats", server?.url ?? "")}  acceptDurability: PROCESS\n`,
  },
  {
    name: "rabbitmq",
    blocks: ["pubsub"],
    ordersBy: "nothing",
    needs: ["rabbitmq"],
    startServer: startRabbitmq,
    resources: (server) => component("rabbitmq", server?.url ?? ""),
  },
];

/** Whether a backend's suites must be skipped here. */
export const isMissing = ({ needs }: Backend): boolean => needs.length > 0 && missing(...needs);

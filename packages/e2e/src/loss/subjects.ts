import { startRedis } from "@mecha/test-servers";
import { type Backend, backends, isMissing } from "../backends.ts";

/** What is tried: a component, and how its publishers publish. */
export interface Subject {
  readonly name: string;
  readonly backend: Backend;
  /** Whether events are published within transactions of a state store. */
  readonly outbox: boolean;
}

/** Components whose transactions publish to themselves. */
const own = ["sqlite", "postgres", "redis"];

/** State in one component and events in another: the runtime hands over what was committed. */
const relay: Backend = {
  name: "sqlite to redis",
  blocks: ["state", "pubsub"],
  ordersBy: "key",
  needs: ["redis"],
  startServer: () => startRedis({ appendfsync: "always" }),
  resources: (server) => `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: orders }
spec: { type: sqlite, blocks: [state, pubsub], default: [state] }
---
apiVersion: mecha.dev/v1
kind: Component
metadata: { name: events }
spec: { type: redis, config: { url: "${server?.url}" }, blocks: [pubsub], default: [pubsub] }
`,
};

const outboxOf = (backend: Backend): Subject => ({ name: `outbox ${backend.name}`, backend, outbox: true });

/** All that can be tried, with the servers for it. */
export const subjects: readonly Subject[] = [
  ...backends
    .filter(({ blocks }) => blocks.includes("pubsub"))
    .map((backend) => ({ name: backend.name, backend, outbox: false })),
  ...backends.filter(({ name }) => own.includes(name)).map(outboxOf),
  outboxOf(relay),
];

/** Whether the server of a subject is not installed. */
export const isSubjectMissing = ({ backend }: Subject): boolean => isMissing(backend);

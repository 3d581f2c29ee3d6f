// A runtime in a process of its own, to be killed: node runtime-process.ts <directory>. Says "ready" when it is.
import { join } from "node:path";
import { memory } from "@mecha/component-memory";
import { sqlite } from "@mecha/component-sqlite";
import { createRuntime } from "@mecha/runtime";

const resource = (type: string, block: string) => ({
  apiVersion: "mecha.dev/v1" as const,
  kind: "Component",
  metadata: { name: block },
  spec: { type, blocks: [block] },
});

const directory = process.argv[2] ?? ".";
await createRuntime({
  components: [sqlite, memory],
  resources: [resource("sqlite", "state"), resource("memory", "pubsub")],
  environment: {},
  dataDir: directory,
  listen: { path: join(directory, "mecha.sock") },
  adminSocket: false,
  watchResources: false,
});
console.log("ready");

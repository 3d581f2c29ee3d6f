import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Component, defineComponent } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { createRuntime, type Runtime } from "@mecha/runtime";
import { onTestFinished } from "vitest";

/** A runtime on a Unix socket that can be stopped and started; what it stores outlives it, as a server of its own would. */
export interface RestartableRuntime {
  readonly endpoint: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startRuntime(): Promise<RestartableRuntime> {
  const folder = mkdtempSync(join(tmpdir(), "mecha-pubsub-"));
  const path = join(folder, "runtime.sock");
  let shared: Promise<Component> | undefined;
  const outliving = defineComponent({
    ...memory,
    async create(config, context) {
      shared ??= memory.create(config, context);
      return { ...(await shared), async close() {} };
    },
  });
  let runtime: Runtime | undefined;
  const server = {
    endpoint: `unix:${path}`,
    async start() {
      runtime = await createRuntime({
        appId: "shop",
        components: [outliving],
        resources: [
          { apiVersion: "mecha.dev/v1", kind: "Component", metadata: { name: "events" }, spec: { type: "memory" } },
        ],
        dataDir: folder,
        listen: { path },
        watchResources: false,
      });
    },
    async stop() {
      await runtime?.close({ deadlineMs: 200 });
      runtime = undefined;
    },
  };
  await server.start();
  onTestFinished(async () => {
    await server.stop();
    await (await shared)?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return server;
}

/** Polls until something holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; !holds(); ) {
    if (Date.now() > deadline) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

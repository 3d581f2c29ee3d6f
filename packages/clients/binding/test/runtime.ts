import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInputQueue, defineComponent, type InputEvent, systemClock, z } from "@mecha/component";
import { createRuntime, type Runtime } from "@mecha/runtime";
import { onTestFinished } from "vitest";

/** A runtime on a Unix socket that can be stopped and started, with a binding `outside` whose events outlive it. */
export interface RestartableRuntime {
  readonly endpoint: string;
  put(event: Partial<InputEvent>): void;
  /** Events that are not settled. */
  left(): number;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function startRuntime(): Promise<RestartableRuntime> {
  const folder = mkdtempSync(join(tmpdir(), "mecha-binding-"));
  const path = join(folder, "runtime.sock");
  const queue = createInputQueue({ clock: systemClock });
  const outside = defineComponent({
    type: "outside",
    description: "For tests.",
    config: z.object({}),
    serves: { binding: { features: ["INPUT"], operations: [] } },
    async create() {
      const input = { description: "What a test puts.", metadata: [], consume: queue.consume };
      return {
        blocks: { binding: { features: ["INPUT"], operations: [], maxDataBytes: 0, input } },
        async health() {},
        async close() {},
      };
    },
  });
  let runtime: Runtime | undefined;
  let count = 0;
  const server: RestartableRuntime = {
    endpoint: `unix:${path}`,
    put: (event) =>
      queue.put({ id: `event-${++count}`, time: 0, data: new Uint8Array(), contentType: "", metadata: {}, ...event }),
    left: () => queue.size,
    async start() {
      runtime = await createRuntime({
        appId: "shop",
        components: [outside],
        resources: [
          { apiVersion: "mecha.dev/v1", kind: "Component", metadata: { name: "outside" }, spec: { type: "outside" } },
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
    queue.close();
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

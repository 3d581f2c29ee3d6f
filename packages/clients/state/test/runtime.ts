import { defineComponent, type StateStore } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { createRuntime, type Runtime, type RuntimeOptions } from "@mecha/runtime";

const resource = (type: string) => ({
  apiVersion: "mecha.dev/v1" as const,
  kind: "Component",
  metadata: { name: "main" },
  spec: { type },
});

/** A runtime in this process, on memory. */
export function startRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return createRuntime({ components: [memory], resources: [resource("memory")], environment: {}, ...options });
}

/** A memory store that outlives its runtimes: they can be stopped and started on the same data, as with a database. */
export async function keepStore() {
  const component = await startComponent(memory, {});
  const { state } = component.blocks as { state: StateStore };
  let hold: Promise<void> | undefined;
  let writes = 0;
  const kept: StateStore = {
    features: state.features,
    durability: state.durability,
    get: (call) => state.get(call),
    getMany: (call) => state.getMany(call),
    list: (call) => state.list(call),
    watch: (call) => state.watch(call),
    async write(call) {
      writes++;
      const results = await state.write(call);
      await hold;
      return results;
    },
  };
  const definition = defineComponent({
    type: "kept",
    description: memory.description,
    config: memory.config,
    serves: memory.serves,
    create: async () => ({ blocks: { ...component.blocks, state: kept }, async health() {}, async close() {} }),
  });
  return {
    /** Starts a runtime on the store, listening where `listen` says. */
    startRuntime: (options: RuntimeOptions) =>
      startRuntime({
        components: [definition],
        resources: [resource("kept")],
        adminSocket: false,
        watchResources: false,
        ...options,
      }),
    /** Does the next writes, but keeps their answers until the function that is returned is called. */
    holdAnswers() {
      const { promise, resolve } = Promise.withResolvers<void>();
      hold = promise;
      return () => {
        hold = undefined;
        resolve();
      };
    },
    /** How many writes came, those sent again included. */
    writes: () => writes,
    close: () => component.close(),
  };
}

import { type Component, defineComponent, type StateItem, type StateStore, z } from "@mecha/component";

/** What a {@link testComponent} did, and what it waits for. */
export interface TestComponentControls {
  /** Instances that were created and not closed. */
  readonly open: Set<number>;
  /** Calls that wait for `release`. */
  waiting: number;
  /** Answers everything that waits, and everything after it. */
  release(): void;
  health: () => Promise<void>;
}

const config = z.object({
  label: z.string().default("one").describe("What every read answers."),
  slow: z.boolean().default(false).describe("Whether reads wait to be released."),
  fail: z.string().optional().describe("Why it does not start."),
});

/** A component whose reads answer with its label and instance, for watching the runtime replace it. */
export function testComponent(options: { replace?: "beside" | "stop-first" } = {}) {
  let instances = 0;
  const released = Promise.withResolvers<void>();
  const controls: TestComponentControls = {
    open: new Set(),
    waiting: 0,
    release: released.resolve,
    health: async () => {},
  };
  const definition = defineComponent({
    type: "test",
    description: "For tests.",
    serves: { state: { features: ["WATCH"], durability: { HOST: "always" } } },
    config,
    ...options,
    async create({ label, slow, fail }): Promise<Component> {
      if (fail !== undefined) throw new Error(fail);
      const instance = ++instances;
      controls.open.add(instance);
      const item = (key: string): StateItem => ({
        key,
        value: Buffer.from(label),
        contentType: "text/plain",
        etag: String(instance),
        expireTime: undefined,
        updateTime: 0,
      });
      const answer = async <T>(value: T): Promise<T> => {
        if (slow) {
          controls.waiting++;
          await released.promise;
        } else await new Promise(setImmediate);
        if (!controls.open.has(instance)) throw new Error(`instance ${instance} was closed under a call`);
        return value;
      };
      const state: StateStore = {
        features: ["WATCH"],
        durability: "HOST",
        get: ({ key }) => answer(item(key)),
        getMany: ({ keys }) => answer(keys.map(item)),
        write: ({ operations }) => answer(operations.map(() => ({ type: "set", etag: String(instance) }))),
        list: () => answer({ items: [], more: false }),
        async *watch({ signal }) {
          yield [{ type: "synced", resumeToken: `${label}-${instance}` }];
          if (signal.aborted) return;
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        },
      };
      return {
        blocks: { state },
        health: () => controls.health(),
        async close() {
          controls.open.delete(instance);
        },
      };
    },
  });
  return { definition, controls };
}

import { createClient } from "@connectrpc/connect";
import { BindingService } from "@mecha/api/binding";
import { type AssistStore, defineComponent, type Operation, z } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { expect, test } from "vitest";
import { component, startRuntime } from "../../test/helpers.js";
import { checkResources } from "./check.js";

const operations: readonly Operation[] = [
  { name: "count", description: "Counts.", parameters: [], output: "text/plain" },
];

/** A binding that counts its calls in the store beside it, and once more as it closes. */
function keeper(needsStore: readonly ("TTL" | "TRANSACT")[] = ["TTL"]) {
  const counts: string[] = [];
  const count = (assist: AssistStore) =>
    assist.use(async (store, keyspace) => {
      const before = await store.get({ keyspace, key: "count" });
      const value = Buffer.from(String(Number(Buffer.from(before?.value ?? "0").toString()) + 1));
      const set = {
        type: "set",
        key: "count",
        value,
        contentType: "",
        ttlMs: undefined,
        precondition: undefined,
      } as const;
      await store.write({ keyspace, operations: [set], requestId: undefined });
      counts.push(value.toString());
      return value;
    });
  const definition = defineComponent({
    type: "keeper",
    description: "For tests.",
    config: z.object({}),
    serves: { binding: { features: ["OUTPUT"], operations } },
    needsStore,
    async create(_, { store }) {
      if (store === undefined) throw new Error("no store");
      const invoke = async () => ({ data: await count(store), contentType: "text/plain", metadata: {} });
      return {
        blocks: { binding: { features: ["OUTPUT"], operations, maxDataBytes: 0, invoke } },
        async health() {},
        close: async () => void (await count(store)),
      };
    },
  });
  return { definition, counts };
}

/** A store without features. */
const plain = defineComponent({ ...memory, type: "plain", serves: { state: { features: [], durability: {} } } });

test("a component keeps things in the default store, out of apps' sight, until it has closed", async () => {
  const { definition, counts } = keeper();
  const runtime = await startRuntime({
    components: [definition, memory],
    // The order of the resources does not count.
    resources: [component("counter", { type: "keeper" }), component("store")],
  });
  const client = createClient(BindingService, runtime.transport);
  await client.invoke({ operation: "count" });
  expect(Buffer.from((await client.invoke({ operation: "count" })).data).toString()).toBe("2");
  const list = await fetch(`${runtime.endpoint}/mecha.state.v1.StateService/List`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(await list.json()).toEqual({});
  await runtime.close();
  expect(counts).toEqual(["1", "2", "3"]);
});

test.each([
  ["another store than there is", { assist: { store: "stroe" } }, /no state store "stroe".*store/],
  ["what serves no state", { assist: { store: "counter" } }, /no state store "counter"; state is served by store/],
  ["an unknown field", { assist: { shop: "store" } }, /unknown field "shop"/],
])("assist with %s is refused, with its line", async (_, spec, reason) => {
  const { problems } = await checkResources({
    components: [keeper().definition, memory],
    resources: [component("counter", { type: "keeper", ...spec }), component("store")],
    environment: {},
  });
  expect(problems.map(({ message }) => message).join("; ")).toMatch(reason);
});

test("a store that lacks a feature, and assist where nothing is kept, are refused", async () => {
  const { problems } = await checkResources({
    components: [keeper(["TTL", "TRANSACT"]).definition, plain, memory],
    resources: [
      component("counter", { type: "keeper", assist: { store: "plain" } }),
      component("plain", { type: "plain" }),
      component("store", { default: true, assist: { store: "plain" } }),
    ],
    environment: {},
  });
  expect(problems.map(({ message }) => message)).toEqual([
    'type "keeper" needs a state store with TTL, TRANSACT, which "plain" has not',
    'type "memory" keeps nothing in a store; leave assist out',
  ]);
});

test("without any store, as in Kubernetes, it says what is missing", async () => {
  const { problems } = await checkResources({
    components: [keeper().definition],
    resources: [component("counter", { type: "keeper" })],
    environment: { KUBERNETES_SERVICE_HOST: "10.0.0.1" },
  });
  expect(problems).toMatchObject([{ message: expect.stringContaining("no component serves state; add one") }]);
});

import { defineComponent } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { checkPaths, picky } from "../../test/check.js";
import { component } from "../../test/helpers.js";
import { checkResources } from "./check.js";
import type { ResourceObject } from "./documents.js";

/** In the place of the embedded default. */
const embedded = { ...memory, type: "sqlite" };

describe("the default of a block", () => {
  it("is chosen once", async () => {
    const problems = await checkPaths([component("a", { default: true }), component("b", { default: ["state"] })]);
    expect(problems).toEqual([
      'resources[0]: "a", "b" all say that they are the default of block "state"; one can be',
      'resources[1]: "a", "b" all say that they are the default of block "state"; one can be',
    ]);
  });

  it("must be chosen among several", async () => {
    const [problem] = await checkPaths([component("a"), component("b")]);
    expect(problem).toBe(
      'resources[0]: "a", "b" all serve block "state" and none is its default; write default: true (or a list of blocks) in one',
    );
  });

  it("is the only component that serves it", async () => {
    const { components } = await checkResources({ resources: [component("a")], components: [memory], environment: {} });
    expect(components).toMatchObject([{ name: "a", defaults: ["state", "pubsub"], implicit: false }]);
  });

  it("of discovery follows that of state where nobody says who serves it", async () => {
    const shared = defineComponent({
      ...memory,
      type: "shared",
      serves: { ...memory.serves, discovery: { features: [] } },
    });
    const defaults = async (...resources: ResourceObject[]) => {
      const { components, problems } = await checkResources({ resources, components: [shared], environment: {} });
      expect(problems).toEqual([]);
      return Object.fromEntries(components.map(({ name, defaults: own }) => [name, own]));
    };
    const one = component("one", { type: "shared", default: ["state"] });
    const other = { type: "shared", default: ["pubsub"] };
    expect(await defaults(one, component("other", other))).toEqual({ one: ["state", "discovery"], other: ["pubsub"] });
    expect(await defaults(one, component("other", { ...other, default: ["pubsub", "discovery"] }))).toEqual({
      one: ["state"],
      other: ["pubsub", "discovery"],
    });
  });

  it("of a block that a type serves on request is one that names it, in `blocks` or as a default", async () => {
    const shared = defineComponent({
      ...memory,
      type: "shared",
      servesOnRequest: { discovery: { features: ["REGISTER"] } },
    });
    const plan = async (...resources: ResourceObject[]) => {
      const { components, problems } = await checkResources({ resources, components: [shared], environment: {} });
      expect(problems).toEqual([]);
      return components.map(({ name, blocks, defaults }) => ({ name, blocks, defaults }));
    };
    const all = ["state", "pubsub"];
    const one = (spec: object) => plan(component("one", { type: "shared", ...spec }));
    expect(await one({})).toEqual([{ name: "one", blocks: all, defaults: all }]);
    expect(await one({ default: true })).toEqual([{ name: "one", blocks: all, defaults: all }]);
    const asked = [...all, "discovery"];
    expect(await one({ default: ["discovery"] })).toEqual([{ name: "one", blocks: asked, defaults: asked }]);
    const [named] = await one({ blocks: ["pubsub", "discovery"], requires: ["REGISTER"] });
    expect(named).toEqual({ name: "one", blocks: ["pubsub", "discovery"], defaults: ["pubsub", "discovery"] });
    // Two that could, of which nobody asked it: neither does.
    const [first, second] = await plan(
      component("one", { type: "shared", default: true }),
      component("two", { type: "shared" }),
    );
    expect([first, second]).toEqual([
      { name: "one", blocks: all, defaults: all },
      { name: "two", blocks: all, defaults: [] },
    ]);
  });

  it("cannot be one that does not serve it", async () => {
    const [problem] = await checkPaths([component("a", { blocks: ["secret"] })]);
    expect(problem).toBe('resources[0]: type "memory" does not serve "secret"; it serves: state, pubsub');
  });
});

describe("the embedded default", () => {
  const kubernetes = { KUBERNETES_SERVICE_HOST: "10.0.0.1" };

  it("serves what no resource serves, under a name that is free", async () => {
    const stateOnly = component("default", { type: "picky", config: { url: "x" } });
    const { components } = await checkResources({
      resources: [stateOnly],
      components: [memory, picky, embedded],
      environment: {},
    });
    expect(components).toMatchObject([
      { name: "default", blocks: ["state"], implicit: false },
      { name: "embedded", type: "sqlite", blocks: ["pubsub"], defaults: ["pubsub"], implicit: true },
    ]);
  });

  it("is refused inside Kubernetes, with the reason and what to do", async () => {
    expect(await checkPaths([], kubernetes)).toEqual([
      "resources: there is no component, and inside Kubernetes no embedded default either: a pod's disk goes with the pod. Add a component (for instance type postgres), or one of type sqlite on a persistent volume",
    ]);
  });

  it("is not missed inside Kubernetes where there is a component", async () => {
    const resources = [component("db", { type: "picky", config: { url: "x" } })];
    const { problems, components } = await checkResources({ resources, components: [picky], environment: kubernetes });
    expect(problems).toEqual([]);
    expect(components).toMatchObject([{ name: "db", implicit: false }]);
  });
});

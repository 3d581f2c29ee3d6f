import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ComponentError, defineComponent, z } from "@mecha/component";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { component, temporaryFolder } from "../../test/helpers.js";
import { checkResources } from "./check.js";
import type { ResourceObject } from "./documents.js";

/** A type with every kind of option, that never runs. */
const picky = defineComponent({
  type: "picky",
  description: "For tests.",
  serves: { state: { features: ["TTL"], durability: { HOST: "always" } } },
  // Not strict on purpose: the runtime refuses unknown fields all the same.
  config: z.object({
    url: z.string().describe("Where it is."),
    poolSize: z.number().int().min(1).max(100).default(10).describe("Connections."),
    tls: z.boolean().default(false).describe("Whether to encrypt."),
    mode: z.enum(["fast", "safe"]).default("safe").describe("How."),
    hosts: z
      .array(z.object({ name: z.string(), port: z.number().optional() }))
      .default([])
      .describe("More of them."),
    labels: z.record(z.string(), z.string()).optional().describe("Anything."),
    password: z
      .union([z.string(), z.object({ file: z.string() })])
      .optional()
      .describe("The password."),
  }),
  create: () => Promise.reject(new ComponentError("COMPONENT_UNAVAILABLE", "it never runs")),
});

/** In the place of the embedded default. */
const embedded = { ...memory, type: "sqlite" };

/** The problems of one YAML file, as `mecha check` prints them, with the file's folder left out. */
async function check(yaml: string, environment: Record<string, string> = {}): Promise<string[]> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "mecha.yaml"), yaml);
  return checkPaths([join(folder, "mecha.yaml")], environment, folder);
}

async function checkPaths(
  resources: (string | ResourceObject)[],
  environment: Record<string, string> = {},
  folder = "",
): Promise<string[]> {
  const { problems } = await checkResources({ resources, components: [memory, picky], environment });
  return problems.map(({ source, message }) => `${source.replace(`${folder}/`, "")}: ${message}`);
}

const valid = `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: store }
spec:
  type: picky
  config:
    url: here
`;

describe("resources", () => {
  it("that are valid have no problems", async () => {
    expect(await check(valid)).toEqual([]);
  });

  it("that are not YAML are told with the line of the error", async () => {
    const problems = await check(`${valid}    tls: [true\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^mecha\.yaml:\d+: YAML: /);
  });

  it("that are no map are told so", async () => {
    expect(await check("- a\n")).toEqual([
      "mecha.yaml:1: a resource is a map with apiVersion, kind, metadata and spec",
    ]);
  });

  it("of an unknown kind get the kind that was meant", async () => {
    expect(await check(valid.replace("Component", "Componnet"))).toEqual([
      'mecha.yaml:2: unknown kind "Componnet"; did you mean "Component"?',
    ]);
  });

  it("without an apiVersion hear which one to write", async () => {
    expect(await check(valid.replace(/^.*\n/, ""))).toEqual([
      'mecha.yaml:1: "apiVersion" is missing; write apiVersion: mecha.dev/v1',
    ]);
  });

  it("with unknown fields get the fields that were meant, at every depth, each at its line", async () => {
    const yaml = valid
      .replace("spec:", "spec:\n  scope: [shop]")
      .replace("url: here", "urll: here\n    url: x\n    hosts:\n      - nmae: a\n        name: a");
    expect(await check(yaml)).toEqual(['mecha.yaml:5: unknown field "scope"; did you mean "scopes"?']);
    expect(await check(yaml.replace("\n  scope: [shop]", ""))).toEqual([
      'mecha.yaml:7: unknown field "urll"; did you mean "url"?',
      'mecha.yaml:10: unknown field "nmae"; did you mean "name"?',
    ]);
  });

  it("may have any key where a map is wanted", async () => {
    expect(await check(`${valid}    labels: { anything: goes }\n`)).toEqual([]);
  });

  it("with values of the wrong type hear what is wanted, all at once", async () => {
    const problems = await check(
      `${valid}    poolSize: many\n    tls: 1\n    mode: fasst\n    hosts: a\n    password: 5\n`,
    );
    expect(problems).toEqual([
      'mecha.yaml:8: "spec.config.poolSize" must be a number, not a string',
      'mecha.yaml:9: "spec.config.tls" must be a boolean, not a number',
      'mecha.yaml:10: "spec.config.mode" must be "fast" or "safe"; did you mean "fast"?',
      'mecha.yaml:11: "spec.config.hosts" must be a list, not a string',
      'mecha.yaml:12: "spec.config.password" must be a string or a map, not a number',
    ]);
  });

  it("that miss a value hear what it is for", async () => {
    expect(await check(valid.replace("    url: here\n", "    tls: true\n"))).toEqual([
      'mecha.yaml:6: "spec.config.url" is missing (Where it is.)',
    ]);
  });

  it("out of range are told with the range", async () => {
    const problems = await check(`${valid}    poolSize: 1000\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^mecha\.yaml:8: "spec\.config\.poolSize" is not valid: .*100/);
  });

  it("of a misspelt type hear of the types there are, and of nothing to install", async () => {
    const [problem] = await check(valid.replace("type: picky", "type: pciky"));
    expect(problem).toBe(
      'mecha.yaml:5: unknown component type "pciky"; did you mean "picky"? available: env, file, memory, picky, sqlite',
    );
  });

  it("of an unknown type hear how to install one", async () => {
    const [problem] = await check(valid.replace("type: picky", "type: elsewhere"));
    expect(problem).toBe(
      'mecha.yaml:5: unknown component type "elsewhere"; available: env, file, memory, picky, sqlite; or npm install @mecha/component-elsewhere beside the resource file',
    );
  });

  it("are all checked, in every document of every file of a folder, and told in order", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "mecha"));
    writeFileSync(
      join(folder, "mecha", "a.yaml"),
      `${valid.replace("url", "ulr")}---\n${valid.replace("store", "Other")}`,
    );
    writeFileSync(join(folder, "mecha", "b.yml"), valid.replace("picky", "nothing"));
    writeFileSync(join(folder, "mecha", "notes.txt"), "not a resource");
    const problems = await checkPaths([join(folder, "mecha")], {}, `${folder}/mecha`);
    expect(problems.map((problem) => problem.slice(0, 40))).toEqual([
      expect.stringMatching(/^a\.yaml:6: "spec\.config\.url" is missin/),
      expect.stringMatching(/^a\.yaml:7: unknown field "ulr"/),
      expect.stringMatching(/^a\.yaml:11: "metadata\.name" is not valid/),
      expect.stringMatching(/^b\.yml:5: unknown component type/),
    ]);
  });

  it("that do not exist are told by their path", async () => {
    expect(await checkPaths(["nowhere.yaml"])).toEqual(["nowhere.yaml: there is no such file or folder"]);
  });

  it("with the same name twice name each other", async () => {
    const problems = await check(`${valid}---\n${valid}`);
    expect(problems).toContainEqual(
      expect.stringMatching(/^mecha\.yaml:11: there is another component "store" at .*mecha\.yaml:3; rename one$/),
    );
  });
});

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

describe("features that a resource requires", () => {
  it("must be among those of its type", async () => {
    const requires = component("a", {
      type: "picky",
      config: { url: "x" },
      requires: ["TRANSACTT", "TTL"],
      acceptDurability: "HOST",
    });
    expect(await checkPaths([requires])).toEqual([
      'resources[0]: type "picky" has no feature "TRANSACTT"; it has: TTL',
    ]);
  });
});

describe("references", () => {
  const withConfig = (config: Record<string, unknown>) => component("a", { type: "picky", config });

  it("take the environment's text, and make a number or boolean of it where one is wanted", async () => {
    const config = {
      url: { $env: "URL" },
      poolSize: { $env: "SIZE" },
      tls: { $env: "TLS" },
      hosts: [{ name: "a", port: { $env: "PORT" } }],
    };
    expect(await checkPaths([withConfig(config)], { URL: "5", SIZE: "20", TLS: "true", PORT: "80" })).toEqual([]);
  });

  it("to an environment variable that is not set name it and its line", async () => {
    expect(await check(valid.replace("url: here", "url: { $env: DB_URL }"))).toEqual([
      "mecha.yaml:7: environment variable DB_URL is not set; set it, or write the value here",
    ]);
  });

  it("never show the value that was wrong", async () => {
    const [problem, ...others] = await checkPaths([withConfig({ url: "x", poolSize: { $env: "SIZE" } })], {
      SIZE: "hunter2",
    });
    expect(others).toEqual([]);
    expect(problem).toBe('resources[0]: "spec.config.poolSize" must be a number, not a string');
  });

  it("to a secret store that is not there get the one that was meant", async () => {
    expect(await checkPaths([withConfig({ url: { $secret: "enw/URL" } })])).toEqual([
      'resources[0]: there is no secret store "enw"; did you mean "env"?',
    ]);
  });

  it("to a secret that is not there name store and key", async () => {
    expect(await checkPaths([withConfig({ url: { $secret: "env/MECHA_TEST_NO_SUCH_VARIABLE" } })])).toEqual([
      'resources[0]: secret store "env" has no secret "MECHA_TEST_NO_SUCH_VARIABLE"',
    ]);
  });

  it("that are malformed show the form", async () => {
    const problems = await checkPaths([
      withConfig({ url: { $secret: "no-slash" }, labels: { a: { $env: "A", b: "c" } } }),
    ]);
    expect(problems.filter((problem) => problem.includes("is not a reference"))).toEqual([
      'resources[0]: "spec.config.url" is not a reference: write { $env: NAME } or { $secret: store/key }, and nothing beside it',
      'resources[0]: "spec.config.labels.a" is not a reference: write { $env: NAME } or { $secret: store/key }, and nothing beside it',
    ]);
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

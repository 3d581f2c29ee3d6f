import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { check, checkPaths, valid } from "../../test/check.js";
import { component, temporaryFolder } from "../../test/helpers.js";

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

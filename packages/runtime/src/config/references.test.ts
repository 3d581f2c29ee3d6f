import { describe, expect, it } from "vitest";
import { check, checkPaths, valid } from "../../test/check.js";
import { component } from "../../test/helpers.js";

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

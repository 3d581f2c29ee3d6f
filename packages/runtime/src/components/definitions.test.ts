import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { memory } from "@mecha/component-memory";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/helpers.js";
import { createDefinitionLookup } from "./definitions.js";

/** A folder with an installed package that exports `source`. */
function folderWith(name: string, source: string): string {
  const folder = temporaryFolder();
  const home = join(folder, "node_modules", name);
  mkdirSync(home, { recursive: true });
  writeFileSync(
    join(home, "package.json"),
    JSON.stringify({ name, type: "module", exports: { ".": { default: "./index.js" } } }),
  );
  writeFileSync(join(home, "index.js"), source);
  return folder;
}

const source = (type: string, description: string) =>
  `export const it = { type: "${type}", description: "${description}", serves: {}, config: {}, create() {} };`;

const lookup = (options: Partial<Parameters<typeof createDefinitionLookup>[0]> = {}) =>
  createDefinitionLookup({
    components: [],
    resolveComponent: async () => undefined,
    knownComponentTypes: [],
    ...options,
  });

const described = async (found: ReturnType<ReturnType<typeof lookup>["find"]>) => {
  const result = await found;
  return "definition" in result ? result.definition.description : result.reason;
};

describe("a type of component is looked for", () => {
  it("among those at hand, then beside the resource file, then among the CLI's, then among the runtime's own", async () => {
    const folder = folderWith("@mecha/component-cloud", source("cloud", "beside the file"));
    const cli = { ...memory, type: "cloud", description: "the CLI's" };
    const resolveComponent = async (type: string) => (type === "cloud" ? cli : undefined);
    const atHand = { ...cli, description: "at hand" };
    expect(await described(lookup({ components: [atHand], resolveComponent }).find("cloud", folder))).toBe("at hand");
    expect(await described(lookup({ resolveComponent }).find("cloud", folder))).toBe("beside the file");
    expect(await described(lookup({ resolveComponent }).find("cloud", temporaryFolder()))).toBe("the CLI's");
    expect(await described(lookup().find("env", temporaryFolder()))).toMatch(/environment variables/);
  });

  it("by its package's name, if it is a third party's", async () => {
    const folder = folderWith("@acme/valkey", source("@acme/valkey", "acme's"));
    expect(await described(lookup().find("@acme/valkey", folder))).toBe("acme's");
  });

  it("but never in a driver that happens to have its name, nor outside of packages", async () => {
    const folder = folderWith("mysql", "throw new Error('the driver was loaded');");
    for (const type of ["mysql", "../mysql", "./index.js", "node:fs", "/etc/passwd"]) {
      expect(await described(lookup().find(type, folder))).toMatch(/^unknown component type/);
    }
  });

  it("and a package that exports no such definition, or cannot be loaded, is told of", async () => {
    const wrong = folderWith("@acme/valkey", source("other", ""));
    expect(await described(lookup().find("@acme/valkey", wrong))).toMatch(
      /exports no component definition of type "@acme\/valkey"/,
    );
    const broken = folderWith("@acme/valkey", "throw new Error('needs libfoo');");
    expect(await described(lookup().find("@acme/valkey", broken))).toMatch(/could not be loaded: needs libfoo/);
  });
});

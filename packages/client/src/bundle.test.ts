import { isBuiltin } from "node:module";
import { build } from "esbuild";
import { expect, it } from "vitest";

/** What a bundler makes of an app that uses this package: the files it took, and the modules it left to be found when the app runs. */
async function bundle(platform: "browser" | "node") {
  const { metafile, warnings } = await build({
    stdin: {
      contents: 'import { connectRuntime } from "@mecha/client"; connectRuntime();',
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    format: "esm",
    splitting: true,
    outdir: "out",
    write: false,
    metafile: true,
    platform,
    logLevel: "silent",
  });
  const external = Object.values(metafile.inputs).flatMap(({ imports }) => imports.filter((input) => input.external));
  return { files: Object.keys(metafile.inputs).join("\n"), external: external.map(({ path }) => path), warnings };
}

it("pulls no Node code into a browser's bundle, and warns of nothing", async () => {
  const { files, external, warnings } = await bundle("browser");
  expect(files).toMatch(/connect-web/);
  expect(files).not.toMatch(/connect-node|rpc\/dist/);
  expect(external).toEqual([]);
  expect(warnings).toEqual([]);
});

it("pulls no browser code into a server's bundle, and needs nothing but Node beside it", async () => {
  const { files, external } = await bundle("node");
  expect(files).toMatch(/rpc\/dist/);
  expect(files).not.toMatch(/connect-web/);
  expect(external.filter((path) => !isBuiltin(path))).toEqual([]);
});

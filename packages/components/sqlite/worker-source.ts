// Build-time only: `import source from "./thread.js?source"` is the bundled text of that module. The writer's thread is started from
// its text, so it needs no file: it works the same from dist/, in a test and in whatever bundle a user ships (the CLI is one).
import { dirname, resolve } from "node:path";
import { build, type Plugin } from "esbuild";

const suffix = /\.js\?source$/;

async function sourceOf(path: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    // A thread that is started from text is a CommonJS script.
    format: "cjs",
    platform: "node",
    target: "node24",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
  });
  return outputFiles[0]?.text ?? "";
}

/** For tsup. */
export const esbuildPlugin: Plugin = {
  name: "worker-source",
  setup(builder) {
    builder.onResolve({ filter: suffix }, ({ path, importer }) => ({
      path: resolve(dirname(importer), path.replace(suffix, ".ts")),
      namespace: "worker-source",
    }));
    builder.onLoad({ filter: /.*/, namespace: "worker-source" }, async ({ path }) => ({
      contents: await sourceOf(path),
      loader: "text",
      watchFiles: [path],
    }));
  },
};

/** For vitest. */
export const vitePlugin = {
  name: "worker-source",
  enforce: "pre" as const,
  resolveId(id: string, importer: string | undefined) {
    return suffix.test(id) && importer
      ? `${resolve(dirname(importer), id.replace(suffix, ".ts"))}?worker-source`
      : undefined;
  },
  async load(id: string) {
    if (!id.endsWith("?worker-source")) return undefined;
    return `export default ${JSON.stringify(await sourceOf(id.slice(0, id.lastIndexOf("?"))))}`;
  },
};

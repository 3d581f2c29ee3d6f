import type { Options } from "tsup";

type Plugin = NonNullable<Options["esbuildPlugins"]>[number];

/**
 * Gives a CommonJS package that is imported lazily (`const { Pool } = await import("pg")`) its named exports. With code splitting esbuild puts
 * it in a chunk that has a default export only; Node itself finds the names, so the package is asked here, where the bundle is made.
 */
export const lazyCommonJs: Plugin = {
  name: "lazy-commonjs",
  setup(build) {
    const namespace = "lazy-commonjs";
    build.onResolve({ filter: /^[^.#]/ }, async ({ path, kind, resolveDir, importer, pluginData }) => {
      if (kind !== "dynamic-import" || pluginData === namespace) return undefined;
      const found = await build.resolve(path, { kind, resolveDir, importer, pluginData: namespace });
      if (found.external || found.errors.length > 0) return undefined;
      const exports: object = await import(found.path);
      // Node names a CommonJS module's whole `exports` so, and an ES module never.
      if (!("module.exports" in exports)) return undefined;
      return { path: found.path, namespace, pluginData: { names: Object.keys(exports), resolveDir } };
    });
    build.onLoad({ filter: /.*/, namespace }, ({ path, pluginData }) => {
      const { names, resolveDir } = pluginData as { names: string[]; resolveDir: string };
      const named = names.filter((name) => name !== "module.exports");
      return { contents: `export { ${named.join(", ")} } from ${JSON.stringify(path)};`, resolveDir, loader: "js" };
    });
  },
};

/** zod's messages in fifty languages are a third of what the runtime loads when it starts; it speaks English. */
export const englishOnly: Plugin = {
  name: "english-only",
  setup(build) {
    build.onLoad({ filter: /[/\\]zod[/\\]v4[/\\]locales[/\\]index\.js$/ }, () => ({
      contents: 'export { default as en } from "./en.js";',
      loader: "js",
    }));
  },
};

/**
 * Takes Node's own modules as they are. An `import` of one reads everything that it exports, and `node:http` then loads undici for its
 * `WebSocket`: 6 MiB and 50 ms for what nobody asked for.
 */
export const plainBuiltins: Plugin = {
  name: "plain-builtins",
  setup(build) {
    const namespace = "plain-builtins";
    build.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === "import-statement" ? { path, namespace } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
      loader: "js",
    }));
  },
};

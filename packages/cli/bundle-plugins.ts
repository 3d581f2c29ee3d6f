import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Options } from "tsup";

type Plugin = NonNullable<Options["esbuildPlugins"]>[number];
type TsupPlugin = NonNullable<Options["plugins"]>[number];

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

/** `import a, { b as c } from "node:x"`, and what else of that kind esbuild writes, with or without white space. */
const builtinImport = /\bimport\s*(?:([\w$]+)\s*,?)?\s*(?:\*\s*as\s+([\w$]+)|(\{[^}]*\}))?\s*from\s*("node:[\w/]+");?/g;

/**
 * Takes Node's own modules as they are. An `import` of one reads everything that it exports, and `node:http` then loads undici for its
 * `WebSocket`: 6 MiB and 50 ms for what nobody asked for.
 */
export const plainBuiltins: TsupPlugin = {
  name: "plain-builtins",
  renderChunk(code) {
    const plain = code.replace(
      builtinImport,
      (_, whole?: string, namespace?: string, names?: string, module?: string) => {
        const value = `globalThis.process.getBuiltinModule(${module})`;
        const targets = [whole, namespace, names?.replaceAll(/\s+as\s+/g, ":")].filter(
          (target) => target !== undefined,
        );
        return targets.map((target) => `var ${target}=${value};`).join("");
      },
    );
    return { code: plain };
  },
};

/** Writes what the licences of bundled packages ask for: each one's name, version and licence text, beside the bundle. */
export const thirdPartyLicenses: Plugin = {
  name: "third-party-licenses",
  setup(build) {
    build.initialOptions.metafile = true;
    build.onEnd(({ metafile }) => {
      const folders = new Set(Object.keys(metafile?.inputs ?? {}).flatMap(packageFolder));
      const notices = [...folders].map(toNotice).toSorted((a, b) => (a < b ? -1 : 1));
      const folder = resolve(build.initialOptions.outdir ?? "dist");
      // In a fresh clone nothing has been written to it yet.
      mkdirSync(folder, { recursive: true });
      const file = join(folder, "THIRD-PARTY-LICENSES.txt");
      writeFileSync(file, [...new Set(notices)].join(`\n${"-".repeat(80)}\n\n`));
    });
  },
};

/** The folder of the package that a bundled file is of; none for a file of this repository. */
function packageFolder(file: string): string[] {
  const match = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file.replace(/^[a-z-]+:/, ""));
  return match === null || !existsSync(join(match[0], "package.json")) ? [] : [match[0]];
}

function toNotice(folder: string): string {
  const { name, version, license, author, repository } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const origin = [author?.name ?? author, repository?.url ?? repository]
    .filter((part) => part !== undefined)
    .join(", ");
  const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file));
  const texts = files.toSorted().map((file) => readFileSync(join(folder, file), "utf8").trim());
  return `${name} ${version} (${license})\n${origin}\n\n${texts.length === 0 ? "The package bears no licence text of its own." : texts.join("\n\n")}\n`;
}

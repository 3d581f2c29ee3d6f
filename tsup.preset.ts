import { defineConfig, type Options } from "tsup";

/** The one way every package is built: ESM, declarations and source maps; only the entry points differ. */
export function preset(entry: Record<string, string>, options: Options = {}) {
  return defineConfig({
    entry,
    format: "esm",
    platform: "node",
    target: "node22",
    dts: true,
    sourcemap: true,
    splitting: true,
    treeshake: true,
    clean: true,
    // `node:sqlite` exists only under that name.
    removeNodeProtocol: false,
    ...options,
  });
}

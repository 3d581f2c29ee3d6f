import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { defineConfig, type Options } from "tsup";

/** The one way every package is built: ESM, declarations and source maps; only the entry points differ. */
export function preset(entry: Record<string, string>, options: Options = {}) {
  const packageDir = process.cwd();
  return defineConfig({
    entry,
    format: "esm",
    platform: "node",
    target: "node22",
    dts: false,
    sourcemap: true,
    splitting: true,
    clean: true,
    // `node:sqlite` exists only under that name.
    removeNodeProtocol: false,
    ...(options.dts === undefined && { onSuccess: () => emitDeclarations(packageDir, entry) }),
    ...options,
  });
}

/**
 * Writes the declarations of what the entries reach, with the native compiler: a tenth of what bundling them costs. Types are checked by the
 * typecheck task, not here.
 */
async function emitDeclarations(packageDir: string, entry: Record<string, string>): Promise<void> {
  const config = join(packageDir, "node_modules/.cache/tsconfig.declarations.json");
  const compilerOptions = {
    noEmit: false,
    noCheck: true,
    declaration: true,
    emitDeclarationOnly: true,
    resolveJsonModule: false,
    rootDir: join(packageDir, "src"),
    outDir: join(packageDir, "dist"),
  };
  const files = Object.values(entry).map((file) => join(packageDir, file));
  await mkdir(dirname(config), { recursive: true });
  await writeFile(
    config,
    JSON.stringify({ extends: join(packageDir, "tsconfig.json"), compilerOptions, files, include: [] }),
  );
  const run = promisify(execFile);
  await run("tsc", ["-p", config]).catch((error: { stdout?: string }) => {
    throw new Error(`no declarations: ${error.stdout ?? error}`);
  });
  // An entry of another name than its file has a declaration of its own.
  for (const [name, file] of Object.entries(entry)) {
    const source = relative("src", file).replace(/\.ts$/, "");
    if (source === name) continue;
    const from = relative(dirname(name), source);
    await writeFile(join(packageDir, "dist", `${name}.d.ts`), `export * from "./${from}.js";\n`);
  }
}

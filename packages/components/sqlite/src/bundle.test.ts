import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { temporaryFolder } from "../test/temporary-folder.ts";

test("a bundle of one file, far from any package, starts the writer's thread", { timeout: 60_000 }, async () => {
  const folder = temporaryFolder();
  const outfile = join(folder, "bundle.mjs");
  await build({
    stdin: {
      contents: `
        import { systemClock } from "@mecha/component";
        import { sqlite } from "@mecha/component-sqlite";
        const logger = { debug() {}, info() {}, warn: console.error, error: console.error };
        const { signal } = new AbortController();
        const dataDir = process.argv[2];
        const context = { name: "bundled", dataDir, baseDir: dataDir, clock: systemClock, logger, signal };
        const component = await sqlite.create(sqlite.config.parse({}), context);
        const { state } = component.blocks;
        const value = new TextEncoder().encode("written from a bundle");
        const set = { type: "set", key: "key", value, contentType: "", ttlMs: undefined, precondition: undefined };
        await state.write({ keyspace: "app", operations: [set], requestId: undefined });
        const item = await state.get({ keyspace: "app", key: "key" });
        await component.close();
        console.log(new TextDecoder().decode(item.value));
      `,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    outfile,
  });
  const output = execFileSync(process.execPath, [outfile, folder], { cwd: folder, encoding: "utf8" });
  expect(output.trim()).toBe("written from a bundle");
});

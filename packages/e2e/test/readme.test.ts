import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { serveMecha } from "../src/mecha.ts";

const run = promisify(execFile);
const repository = join(import.meta.dirname, "../../..");
const programs = join(import.meta.dirname, "../.readme");

/**
 * A program in a page: a fence of ```ts. Of one that says `ts no-run`, which runs for ever or elsewhere, only the types are checked; one that says
 * `ts excerpt` is tested by its own package.
 */
interface Program {
  readonly name: string;
  readonly file: string;
  readonly runs: boolean;
  /** Whether it is a test itself. */
  readonly isTest: boolean;
}

/** Every program of every page of the repository, written to a file that resolves the workspace's packages. */
async function extractPrograms(): Promise<Program[]> {
  rmSync(programs, { recursive: true, force: true });
  mkdirSync(programs);
  writeFileSync(join(programs, "tsconfig.json"), JSON.stringify({ extends: "../../../tsconfig.base.json" }));
  const { stdout } = await run("git", ["ls-files", "*.md"], { cwd: repository });
  const pages = stdout.split("\n").filter((page) => page !== "" && !page.includes("CHANGELOG"));
  return pages.flatMap((page) =>
    [...readFileSync(join(repository, page), "utf8").matchAll(/^```ts( no-run)?\n(.*?)^```/gms)].map(
      ([, noRun, code = ""], index): Program => {
        const name = `${page}, program ${index + 1}`;
        const isTest = code.includes('from "vitest"');
        const file = join(programs, `${page.replaceAll(/[^a-z0-9]+/gi, "-")}-${index + 1}${isTest ? ".test" : ""}.ts`);
        writeFileSync(file, `${code}\nexport {};\n`);
        return { name, file, runs: noRun === undefined, isTest };
      },
    ),
  );
}

const found = await extractPrograms();

describe("the programs in the pages", () => {
  test("are all well typed", async () => {
    expect(found.length).toBeGreaterThan(5);
    const output = await run("tsc", ["-p", programs]).then(
      () => "",
      ({ stdout }: { stdout: string }) => stdout,
    );
    expect(output).toBe("");
  });

  let endpoint = "";
  beforeAll(async () => {
    const mecha = await serveMecha();
    endpoint = mecha.endpoint;
    return () => mecha[Symbol.asyncDispose]();
  });

  test.each(found.filter(({ runs }) => runs))(
    "$name",
    async ({ file, isTest }) => {
      const env = { ...process.env, MECHA_ENDPOINT: endpoint };
      if (isTest) await run("vitest", ["run", "--root", programs, basename(file)], { env, timeout: 60_000 });
      else await run(process.execPath, [file], { cwd: programs, env, timeout: 30_000 });
    },
    60_000,
  );
});

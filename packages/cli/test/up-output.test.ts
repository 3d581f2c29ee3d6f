import { appendFile, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { appsFolder, up } from "./apps.js";
import { mecha, temporaryFolder, until } from "./cli.js";

describe("mecha up: one log", () => {
  const lines = 300;
  /** Writes lines in pieces, on both streams. */
  const chatty = `
    const write = (stream, text) => new Promise((resolve) => stream.write(text, resolve));
    for (let line = 0; line < ${lines}; line++) {
      await write(process.stdout, "out " + line);
      await write(process.stderr, "err " + line);
      await write(process.stdout, " of " + process.env.MECHA_APP_ID + "\\n");
      await write(process.stderr, " of " + process.env.MECHA_APP_ID + "\\n");
    }`;
  const names = ["a", "longer-name", "b"];
  const apps = Object.fromEntries(names.map((name) => [name, { script: chatty }]));
  const expected = (name: string, stream: string) =>
    Array.from({ length: lines }, (_, line) => `${stream} ${line} of ${name}`);

  it("never mixes parts of lines, and keeps the order of each stream", async () => {
    await using folder = await appsFolder(apps);
    await using running = up(folder);
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    for (const name of names) {
      const prefix = `${name.padEnd(11)} │ `;
      const own = stdout.split("\n").filter((line) => line.startsWith(prefix));
      const said = own.map((line) => line.slice(prefix.length));
      expect(said.filter((line) => line.startsWith("out"))).toEqual(expected(name, "out"));
      expect(said.filter((line) => line.startsWith("err"))).toEqual(expected(name, "err"));
      expect(said).toHaveLength(2 * lines);
    }
  });

  it("is JSON lines with --json", async () => {
    await using folder = await appsFolder({
      ...apps,
      silent: { script: "process.exit(2)", spec: { restart: { policy: "never" } } },
    });
    await using running = up(folder, "--json", "--log-level", "info");
    const { code, stdout } = await running.ended;
    expect(code).toBe(1);
    const said = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { app: string; stream: string; line: string; endpoint?: string });
    const of = (app: string, stream: string) => said.filter((line) => line.app === app && line.stream === stream);
    for (const name of names) {
      expect(of(name, "stdout").map(({ line }) => line)).toEqual(expected(name, "out"));
      expect(of(name, "stderr").map(({ line }) => line)).toEqual(expected(name, "err"));
      expect(of(name, "mecha")[0]?.endpoint).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      expect(of(name, "mecha").at(-1)?.line).toBe("ended (exit code 0)");
      const runtime = of(name, "runtime").map(({ line }) => (JSON.parse(line) as { msg: string }).msg);
      expect(runtime).toEqual(expect.arrayContaining(["ready", "stopped"]));
    }
    expect(of("silent", "mecha").at(-1)?.line).toBe("failed for good (exit code 2)");
  });
});

describe("mecha up says what is wrong before it starts anything", () => {
  it("in the files: everything, with file and line", async () => {
    await using folder = await temporaryFolder();
    const marker = join(folder.path, "started");
    const app = (name: string, spec: string) =>
      `apiVersion: mecha.dev/v1\nkind: App\nmetadata: { name: ${name} }\nspec: ${spec}\n---\n`;
    const texts = [
      app("good", `{ command: [touch, ${marker}], port: 8081 }`),
      app("misspelt", "{ comand: [node, a.mjs] }"),
      app("waits", "{ command: [node, a.mjs], dependsOn: [god] }"),
      app("same-port", "{ command: [node, a.mjs], runtimePort: 8081 }"),
      app("nowhere", "{ command: [node, a.mjs], dir: ./no-such-folder }"),
      app("unset", "{ command: [node, a.mjs], env: { DB: { $env: NO_SUCH_VARIABLE } } }"),
      "apiVersion: mecha.dev/v1\nkind: Component\nmetadata: { name: db }\nspec: { type: sqllite }\n",
    ];
    await writeFile(join(folder.path, "mecha.yaml"), texts.join(""));
    const { code, stdout, stderr } = await mecha(["up"], { cwd: folder.path });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^mecha: nothing was started:\n/);
    expect(stderr).toMatch(/^ {2}mecha\.yaml:9: .*"comand".*did you mean "command"/m);
    expect(stderr).toMatch(
      /^ {2}mecha\.yaml:16: "spec\.runtimePort" of App "same-port" is 8081, and so is "spec\.port" of App "good"/m,
    );
    expect(stderr).toMatch(/^ {2}mecha\.yaml:21: "spec\.dir" of App "nowhere" is no folder: .*no-such-folder$/m);
    expect(stderr).toMatch(/^ {2}mecha\.yaml:29: .*NO_SUCH_VARIABLE is not set/m);
    expect(stderr).toMatch(/^ {2}mecha\.yaml:34: .*"sqllite".*did you mean "sqlite"/m);
    await expect(readFile(marker)).rejects.toThrow("ENOENT");
  });

  it.each([
    ["no App at all", [], "", 2, /^mecha: there is no App in mecha\.yaml and mecha\/: /],
    ["a file that is not there", ["-f", "none.yaml"], "", 1, /none\.yaml: there is no such file/],
    ["an App that is none", ["--only", "ordres"], "ok", 2, /--only: there is no App "ordres" .*; there are: shop/],
    ["a dependency that is none", [], "dependsOn: [shopp]", 1, /there is no App "shopp"; did you mean "shop"/],
    ["a runtime that cannot start", [], "runtimePort", 1, /port \d+ is in use by process \d+/],
  ])("%s", async (_, args, what, code, message) => {
    await using folder = await temporaryFolder();
    const holder = createServer().listen(0, "127.0.0.1");
    await until(() => holder.listening);
    const address = holder.address();
    const busy = typeof address === "object" && address !== null ? address.port : 0;
    const more = what === "runtimePort" ? `runtimePort: ${busy}` : what === "ok" ? "version: '1'" : what;
    if (what !== "") {
      const file = join(folder.path, "mecha.yaml");
      await appendFile(
        file,
        `apiVersion: mecha.dev/v1\nkind: App\nmetadata: { name: shop }\nspec: { command: [touch, started], ${more} }\n`,
      );
    }
    const ended = await mecha(["up", ...args], { cwd: folder.path });
    holder.close();
    expect(ended.stderr).toMatch(message);
    expect(ended).toMatchObject({ code, stdout: "" });
    await expect(readFile(join(folder.path, "started"))).rejects.toThrow("ENOENT");
  });
});

describe("docs/running.md", () => {
  it("shows Apps that nothing is wrong with", async () => {
    await using folder = await temporaryFolder();
    const page = await readFile(join(import.meta.dirname, "../../../docs/running.md"), "utf8");
    const resources = [...page.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, text = ""]) => text);
    expect(resources).toHaveLength(1);
    await writeFile(join(folder.path, "mecha.yaml"), resources.join("---\n"));
    expect(await mecha(["check"], { cwd: folder.path })).toMatchObject({ code: 0, stderr: "" });
  });
});

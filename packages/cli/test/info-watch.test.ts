import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, missing } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";
import { mecha, serve, start, temporaryFolder, until } from "./cli.js";
import { onTerminal, plain } from "./terminal.js";

const watch = (endpoint: string, ...args: string[]) => [
  "info",
  "-e",
  endpoint,
  "--watch",
  "--interval",
  "100ms",
  ...args,
];

const component = (name: string) =>
  `apiVersion: mecha.dev/v1\nkind: Component\nmetadata: { name: ${name} }\nspec: { type: memory, blocks: [state] }\n`;

describe("mecha info --watch", () => {
  it("prints block after block into a pipe, with what changed, and ends well when it is told to", async () => {
    await using folder = await temporaryFolder();
    const resources = join(folder.path, "mecha.yaml");
    await writeFile(resources, component("first"));
    await using runtime = await serve([], { cwd: folder.path });
    await using watching = start(watch(runtime.endpoint), { cwd: folder.path });
    await watching.output(
      /^\d\d:\d\d:\d\d\n {2}mecha \S+ at .*\n {2}app shop, [\s\S]*^ {2}first +memory[\s\S]*^ {2}first +memory/m,
    );
    await writeFile(resources, component("second"));
    await watching.output(/^● second +memory/m);
    await watching.output(
      /^CHANGES\n\d\d:\d\d:\d\d component first is gone\n\d\d:\d\d:\d\d component second is new, memory, /m,
    );
    watching.child.kill("SIGINT");
    expect(await watching.ended).toMatchObject({ code: 0, stderr: "" });
  });

  it("waits for a runtime that is not there, and goes on when it was started anew", async () => {
    await using folder = await temporaryFolder();
    const port = String(await freePort());
    const endpoint = `http://127.0.0.1:${port}`;
    await using watching = start(watch(endpoint), { cwd: folder.path });
    await watching.output(/^away since \d\d:\d\d:\d\d at http:\S+: \S+/m);
    for (const round of [1, 2]) {
      const processId = `process (\\d+)`;
      await using runtime = start(["serve", "--app-id", "shop", "--port", port], { cwd: folder.path });
      const pattern = round === 1 ? `at ${endpoint}, ${processId}` : `the runtime was started anew, as ${processId}`;
      const [, seen] = await watching.output(new RegExp(pattern));
      expect(Number(seen)).toBe(runtime.child.pid);
      runtime.child.kill("SIGTERM");
      await runtime.ended;
      if (round === 1) await watching.output(/^\d\d:\d\d:\d\d the runtime is away$/m);
    }
    await watching.output(/^\d\d:\d\d:\d\d the runtime is back$/m);
    watching.child.kill("SIGTERM");
    expect((await watching.ended).code).toBe(0);
  });

  it("prints one line of JSON each time with --json", async () => {
    await using folder = await temporaryFolder();
    await using runtime = await serve([], { cwd: folder.path });
    await using watching = start(watch(runtime.endpoint, "--json"), { cwd: folder.path });
    await watching.output(/^.*"appId":"shop".*\n.*"appId":"shop".*\n/m);
    runtime.child.kill("SIGTERM");
    await watching.output(/"awaySince":/);
    watching.child.kill("SIGINT");
    const { code, stdout } = await watching.ended;
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, string>);
    expect(code).toBe(0);
    for (const { time } of lines) expect(new Date(time ?? "").getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(lines.at(-1)).toMatchObject({ awaySince: expect.any(String), error: expect.any(String) });
  });

  it("says at once what waiting does not help", async () => {
    await using folder = await temporaryFolder();
    await using runtime = await serve([], { cwd: folder.path, env: { MECHA_API_TOKEN: "secret" } });
    const ended = await mecha(watch(runtime.endpoint), { cwd: folder.path });
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^mecha: .*token/) });
    const wrong = await mecha(["info", "--interval", "1ms"], { cwd: folder.path });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("every 100ms or less often") });
  });

  describe.skipIf(missing("script"))("on a terminal", () => {
    it("is drawn again in place, until Ctrl-C", async () => {
      await using folder = await temporaryFolder();
      await using runtime = await serve([], { cwd: folder.path });
      using terminal = onTerminal(watch(runtime.endpoint), folder.path);
      // Back up by as many lines as were drawn, and cleared from there.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
      const redraw = /^((?:.*\n)+?)\u001b\[(\d+)A\u001b\[0J {2}mecha /;
      const [, first = "", up] = await until(() => redraw.exec(plain(terminal.output)));
      expect(first.split("\n").length - 1).toBe(Number(up));
      terminal.type("\u0003");
      expect(await terminal.exitCode).toBe(0);
    });
  });
});

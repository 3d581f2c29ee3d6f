import { missing } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";
import { mecha, serve, temporaryFolder, until } from "./cli.js";
import { onTerminal, plain } from "./terminal.js";

describe.skipIf(missing("script"))("mecha run on a terminal", () => {
  it("interleaves both outputs with coloured prefixes, and logs for people", async () => {
    await using folder = await temporaryFolder();
    const script = "console.log('from the app'); console.error('from its stderr'); process.exit(5)";
    const args = ["run", "--app-id", "shop", "--port", "0", "--", process.execPath, "--eval", script];
    using terminal = onTerminal(args, folder.path);
    expect(await terminal.exitCode).toBe(5);
    expect(terminal.output).toContain("\u001b[36mshop ");
    const lines = plain(terminal.output);
    expect(lines).toMatch(/^mecha │ \[[\d:.]+\] INFO: ready$/m);
    expect(lines).toMatch(/^shop {2}│ from the app$/m);
    expect(lines).toMatch(/^shop {2}│ from its stderr$/m);
  });

  it("tells the app once of a Ctrl-C, and lets it finish", async () => {
    await using folder = await temporaryFolder();
    const script = `
      let count = 0;
      process.on("SIGINT", () => {
        count++;
        setTimeout(() => { console.log("asked", count); process.exit(0); }, 300);
      });
      setInterval(() => {}, 1000);
      console.log("up");`;
    const args = ["run", "--app-id", "shop", "--port", "0", "--", process.execPath, "--eval", script];
    using terminal = onTerminal(args, folder.path);
    await until(() => plain(terminal.output).includes("│ up"));
    terminal.type("\u0003");
    expect(await terminal.exitCode).toBe(0);
    expect(plain(terminal.output)).toMatch(/^(\^C)?shop {2}│ asked 1$/m);
  });
});

describe.skipIf(missing("script"))("mecha subscribe on a terminal", () => {
  it("prints events for people, in colours, and nothing that the terminal would obey", async () => {
    await using folder = await temporaryFolder();
    await using runtime = await serve([], { cwd: folder.path });
    const publish = (...args: string[]) =>
      mecha(["publish", "orders", ...args, "-e", runtime.endpoint], { cwd: folder.path });
    await publish(
      '{"item":"teapot","count":2,"gift":false}',
      "--type",
      "order.placed",
      "--subject",
      "o-1",
      "--id",
      "e-1",
    );
    await publish("\u001b]0;owned\u0007 two\nlines", "--type", "note\u001b[2J", "--key", "k");
    await publish("@/dev/null");
    const args = ["subscribe", "orders", "--from", "earliest", "-n", "3", "-e", runtime.endpoint];
    using terminal = onTerminal(args, folder.path);
    expect(await terminal.exitCode).toBe(0);
    expect(terminal.output).toContain('\u001b[36m"item"\u001b[39m: \u001b[32m"teapot"\u001b[39m');
    expect(terminal.output).toContain('"count"\u001b[39m: \u001b[33m2\u001b[39m');
    const lines = plain(terminal.output);
    expect(lines).toMatch(
      /^[\d:.]+ {2}order\.placed {2}o-1 {2}\/ns\/default\/app\/shop e-1\n\{\n {2}"item": "teapot",\n {2}"count": 2,\n {2}"gift": false\n\}\n/,
    );
    expect(lines).toMatch(/^[\d:.]+ {2}note \[2J {2}key=k .*\n \]0;owned {2}two\nlines\n/m);
    // What colours is all that is left of escape sequences.
    expect(lines).not.toContain("\u001b");
  });
});

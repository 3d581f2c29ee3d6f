import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { freePort } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";
import { isAlive, mecha, start, temporaryFolder, until } from "./cli.js";

/** `mecha run` on any free port, with a Node program as the app. */
const runNode = (script: string, ...args: string[]) => [
  "run",
  "--app-id",
  "shop",
  ...args,
  "--",
  process.execPath,
  "--input-type=module",
  "--eval",
  script,
];

describe("mecha run: the app", () => {
  it.each([0, 7, 255])("exits with its code, %i", async (code) => {
    await using folder = await temporaryFolder();
    const ended = await mecha(runNode(`process.exit(${code})`), { cwd: folder.path });
    expect(ended.code).toBe(code);
  });

  it("exits with 128 + n when signal n ended it", async () => {
    await using folder = await temporaryFolder();
    const ended = await mecha(runNode("process.kill(process.pid, 'SIGKILL')"), { cwd: folder.path });
    expect(ended.code).toBe(137);
  });

  it("finds the runtime, and is let in by the token that others do not have", async () => {
    await using folder = await temporaryFolder();
    const script = `
      const url = process.env.MECHA_ENDPOINT + "/state/greeting";
      const headers = { authorization: "Bearer " + process.env.MECHA_API_TOKEN };
      await fetch(url, { method: "PUT", headers, body: "hello" });
      console.log(process.env.MECHA_APP_ID, await (await fetch(url, { headers })).text(), (await fetch(url)).status);`;
    const ended = await mecha(runNode(script, "--port", "0"), { cwd: folder.path });
    expect(ended).toMatchObject({ code: 0, stdout: "shop hello 401\n" });
  });

  it("has stdout to itself; the runtime logs JSON to stderr", async () => {
    await using folder = await temporaryFolder();
    const ended = await mecha(runNode("process.stdout.write('no newline')"), { cwd: folder.path });
    expect(ended.stdout).toBe("no newline");
    const lines = ended.stderr.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toContain("ready");
  });

  it("gets the arguments behind it, options too", async () => {
    await using folder = await temporaryFolder();
    const echo = [process.execPath, "--print", "process.argv.slice(1).join()", "--", "-x", "--port", "5"];
    const ended = await mecha(["run", "--app-id", "shop", "--port", "0", ...echo], { cwd: folder.path });
    expect(ended.stdout).toBe("-x,--port,5\n");
  });

  it("reads our standard input", async () => {
    await using folder = await temporaryFolder();
    const ended = await mecha(runNode("process.stdin.pipe(process.stdout)"), { cwd: folder.path, input: "a line\n" });
    expect(ended.stdout).toBe("a line\n");
  });

  it("that is not there is told like a shell does", async () => {
    await using folder = await temporaryFolder();
    const ended = await mecha(["run", "--app-id", "shop", "--", "no-such-program"], { cwd: folder.path });
    expect(ended.code).toBe(127);
    expect(ended.stderr).toContain('mecha: cannot start the app: no program "no-such-program"');
  });
});

describe("mecha run --app-port", () => {
  it("is ready once the app listens there", async () => {
    await using folder = await temporaryFolder();
    const port = await freePort();
    const script = `
      import { createServer } from "node:http";
      const status = async () => (await fetch(process.env.MECHA_ENDPOINT + "/readyz")).status;
      console.log(await status());
      createServer().listen(${port}, "127.0.0.1");
      while (await status() !== 200) await new Promise((resolve) => setTimeout(resolve, 20));
      console.log("ready");
      process.exit(0);`;
    const ended = await mecha(runNode(script, "--port", "0", "--app-port", String(port)), { cwd: folder.path });
    expect(ended).toMatchObject({ code: 0, stdout: "503\nready\n" });
  });
});

describe("mecha run: signals", () => {
  const stubborn = "process.on('SIGTERM', () => console.log('asked')); setInterval(() => {}, 1000); console.log('up');";

  it("go on to the app, once, and the runtime serves until it is done", async () => {
    await using folder = await temporaryFolder();
    const script = `
      setInterval(() => {}, 1000);
      process.on("SIGTERM", async () => {
        console.log("asked");
        const response = await fetch(process.env.MECHA_ENDPOINT + "/readyz");
        console.log("runtime", response.status);
        process.exit(3);
      });
      console.log("up");`;
    await using running = start(runNode(script, "--port", "0"), { cwd: folder.path });
    await running.output(/^up$/m);
    running.child.kill("SIGTERM");
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 3, stdout: "up\nasked\nruntime 200\n" });
    expect(ended.stderr).toContain('"msg":"stopped"');
  });

  it("reach the app when no other finds it any more", async () => {
    await using folder = await temporaryFolder();
    const port = await freePort();
    const script = `
      import { createServer } from "node:http";
      const call = async () => {
        const headers = { "mecha-token": process.env.MECHA_API_TOKEN };
        return (await fetch(process.env.MECHA_ENDPOINT + "/invoke/shop/", { headers })).status;
      };
      process.on("SIGTERM", async () => {
        console.log("asked", await call());
        process.exit(0);
      });
      createServer((_, response) => response.end()).listen(${port}, "127.0.0.1", async () => {
        while ((await call()) !== 200);
        console.log("up");
      });`;
    await using running = start(runNode(script, "--port", "0", "--app-port", String(port)), { cwd: folder.path });
    await running.output(/^up$/m);
    running.child.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^up\nasked (404|503)\n$/) });
  });

  it("a second one ends everything at once", async () => {
    await using folder = await temporaryFolder();
    await using running = start(runNode(`${stubborn} console.log('pid', process.pid);`), { cwd: folder.path });
    const [, processId] = await running.output(/^pid (\d+)$/m);
    running.child.kill("SIGTERM");
    await running.output(/^asked$/m);
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(143);
    await until(() => !isAlive(Number(processId)));
  });

  it("reach what the app has started", async () => {
    await using folder = await temporaryFolder();
    const grandchild = `${stubborn} console.log('pid', process.pid); process.on('SIGTERM', () => process.exit(0));`;
    const shell = ["sh", "-c", `"$0" --eval "$1"; exit 4`, process.execPath, grandchild];
    await using running = start(["run", "--app-id", "shop", "--port", "0", "--", ...shell], { cwd: folder.path });
    const [, processId] = await running.output(/^pid (\d+)$/m);
    running.child.kill("SIGINT");
    await running.ended;
    await until(() => !isAlive(Number(processId)));
  });
});

describe("mecha run: when one of them is lost", () => {
  const app = "setInterval(() => {}, 1000); console.log('app', process.pid);";

  /** The runtime's process: the one of the listening port, as GetInfo tells. */
  const askProcess = `
    const response = await fetch(process.env.MECHA_ENDPOINT + "/mecha.runtime.v1.RuntimeService/GetInfo", {
      method: "POST", body: "{}",
      headers: { authorization: "Bearer " + process.env.MECHA_API_TOKEN, "content-type": "application/json" },
    });
    console.log("runtime", (await response.json()).processId);`;

  it("the app is stopped when the runtime dies", async () => {
    await using folder = await temporaryFolder();
    await using running = start(runNode(askProcess + app, "--port", "0"), { cwd: folder.path });
    const [, runtime] = await running.output(/^runtime (\d+)$/m);
    const [, appProcess] = await running.output(/^app (\d+)$/m);
    process.kill(Number(runtime), "SIGKILL");
    const ended = await running.ended;
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("mecha: the runtime was lost (SIGKILL), so the app was stopped");
    expect(isAlive(Number(appProcess))).toBe(false);
  });

  it("app and runtime end when mecha itself is killed", async () => {
    await using folder = await temporaryFolder();
    await using running = start(runNode(askProcess + app, "--port", "0"), { cwd: folder.path });
    const [, runtime] = await running.output(/^runtime (\d+)$/m);
    const [, appProcess] = await running.output(/^app (\d+)$/m);
    running.child.kill("SIGKILL");
    await until(() => !isAlive(Number(appProcess)));
    await until(() => !isAlive(Number(runtime)));
  });
});

describe("mecha run: the app is started anew", () => {
  it("with --restart when it fails, and its last exit code is ours", async () => {
    await using folder = await temporaryFolder();
    const script = `
      import { appendFileSync, readFileSync } from "node:fs";
      appendFileSync("runs", "x");
      const run = readFileSync("runs", "utf8").length;
      console.log("run", run, process.env.MECHA_ENDPOINT);
      process.exit(run < 2 ? 7 : 0);`;
    const ended = await mecha(runNode(script, "--port", "0", "--restart", "on-failure"), { cwd: folder.path });
    expect(ended.code).toBe(0);
    const [, first, second] = /^run 1 (\S+)\nrun 2 (\S+)\n$/.exec(ended.stdout) ?? [];
    expect(second).toBe(first);
    expect(ended.stderr).toMatch(/^mecha: shop: failed \(exit code 7\), next try in \d+ ms$/m);
  });

  it("with --watch when a file changes", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "word");
    await writeFile(file, "first");
    const script = "console.log(require('fs').readFileSync('word', 'utf8')); setInterval(() => {}, 1000);";
    const args = [
      "run",
      "--app-id",
      "shop",
      "--port",
      "0",
      "--watch",
      "word",
      "--",
      process.execPath,
      "--eval",
      script,
    ];
    await using running = start(args, { cwd: folder.path });
    await running.output(/^first$/m);
    await writeFile(file, "second");
    await running.output(/^mecha: shop: word changed, it starts anew$/m);
    await running.output(/^second$/m);
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(143);
  });

  it("when the liveness probe of the App resource of its app id fails", async () => {
    await using folder = await temporaryFolder();
    await writeFile(
      join(folder.path, "mecha.yaml"),
      `apiVersion: mecha.dev/v1
kind: App
metadata: { name: shop }
spec:
  probes:
    liveness: { command: [test, "!", -e, sick], interval: 300ms, failures: 3 }
`,
    );
    const script = `
      import { existsSync, rmSync, writeFileSync } from "node:fs";
      if (existsSync("sick")) { rmSync("sick"); console.log("well again"); process.exit(0); }
      writeFileSync("sick", "");
      setInterval(() => {}, 1000);`;
    const ended = await mecha(runNode(script, "--port", "0", "--restart", "on-failure"), { cwd: folder.path });
    expect(ended).toMatchObject({ code: 0, stdout: "well again\n" });
    expect(ended.stderr).toMatch(/^mecha: shop: failed \(its liveness probe failed: .*\), next try in \d+ ms$/m);
  });
});

describe("mecha run: the port", () => {
  it("is another one when the usual one is busy", async () => {
    await using folder = await temporaryFolder();
    await using _holder = await holdPort(3600);
    const ended = await mecha(runNode("console.log(new URL(process.env.MECHA_ENDPOINT).port)"), { cwd: folder.path });
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(/^\d+\n$/);
    expect(ended.stdout).not.toBe("3600\n");
  });

  it("that was chosen and is busy is an error that names the holder", async () => {
    await using folder = await temporaryFolder();
    await using holder = await holdPort(0);
    const ended = await mecha(runNode("console.log('never')", "--port", String(holder.port)), { cwd: folder.path });
    expect(ended).toMatchObject({ code: 1, stdout: "" });
    expect(ended.stderr).toContain(`port ${holder.port} is in use by process ${process.pid} (`);
  });
});

/** Listens on a port of this machine, unless somebody else does already. */
async function holdPort(wanted: number): Promise<AsyncDisposable & { port: number }> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.once("error", () => resolve());
    server.listen(wanted, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : wanted,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

import { once } from "node:events";
import { access, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mecha, serve, start, temporaryFolder, wrongResources } from "./cli.js";

describe("mecha serve", () => {
  it("serves without a token on this machine, and drains when it is told to stop", async () => {
    await using folder = await temporaryFolder();
    await using running = await serve([], { cwd: folder.path });
    expect((await fetch(`${running.endpoint}/readyz`)).status).toBe(200);
    expect((await fetch(`${running.endpoint}/state/key`, { method: "PUT", body: "value" })).ok).toBe(true);
    running.child.kill("SIGTERM");
    const ended = await running.ended;
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toContain('"msg":"draining"');
  });

  it("keeps what was written, in the data directory", async () => {
    await using folder = await temporaryFolder();
    for (const [method, body] of [
      ["PUT", "value"],
      ["GET", undefined],
    ] as const) {
      await using running = await serve(["--data-dir", "kept"], { cwd: folder.path });
      const response = await fetch(`${running.endpoint}/state/key`, { method, ...(body !== undefined && { body }) });
      if (method === "GET") expect(await response.text()).toBe("value");
      running.child.kill("SIGTERM");
      expect((await running.ended).code).toBe(0);
    }
    await access(join(folder.path, "kept/mecha.db"));
  });

  it("ends at once at a second signal, though a call is in flight", async () => {
    await using folder = await temporaryFolder();
    await using running = await serve([], { cwd: folder.path });
    const { port } = new URL(running.endpoint);
    // A request whose body never comes is in flight for as long as the drain waits; "100 Continue" says that it has arrived.
    const socket = connect(Number(port), "127.0.0.1").on("error", () => {});
    socket.write("PUT /state/key HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n");
    expect(String(await once(socket, "data"))).toContain("100 Continue");
    running.child.kill("SIGTERM");
    await running.output(/"draining"/);
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    socket.destroy();
  });

  it("asks for the token in a file, and for the one in the environment", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "token"), "from-file\n");
    for (const { args, env, token } of [
      { args: ["--token-file", "token"], env: { MECHA_API_TOKEN: "not-this" }, token: "from-file" },
      { args: [], env: { MECHA_API_TOKEN: "from-env" }, token: "from-env" },
    ]) {
      await using running = await serve(args, { cwd: folder.path, env });
      const url = `${running.endpoint}/state/key`;
      expect((await fetch(url)).status).toBe(401);
      expect((await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status).toBe(404);
    }
  });

  it("asks for none with --no-token, whatever the environment says", async () => {
    await using folder = await temporaryFolder();
    await using running = await serve(["--no-token"], { cwd: folder.path, env: { MECHA_API_TOKEN: "secret" } });
    expect((await fetch(`${running.endpoint}/state/key`)).status).toBe(404);
  });

  it("lets the web pages of chosen origins call, and no others", async () => {
    await using folder = await temporaryFolder();
    const origins = ["https://shop.example", "http://localhost:5173"];
    await using running = await serve(
      origins.flatMap((origin) => ["--allow-origin", origin]),
      { cwd: folder.path },
    );
    for (const [origin, status] of [
      ...origins.map((origin) => [origin, 404]),
      ["https://evil.example", 403],
    ] as const) {
      const response = await fetch(`${running.endpoint}/state/key`, { headers: { origin: String(origin) } });
      expect(response.status).toBe(status);
      expect(response.headers.get("access-control-allow-origin")).toBe(status === 403 ? null : origin);
    }
    const wrong = await mecha(["serve", "--app-id", "shop", "--allow-origin", "shop.example/"], { cwd: folder.path });
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("an origin is what a browser sends") });
  });

  it("listens on a Unix socket", async () => {
    await using folder = await temporaryFolder();
    const args = ["serve", "--app-id", "shop", "--socket", "mecha.sock"];
    await using running = start(args, { cwd: folder.path });
    await running.output(/"msg":"ready"/);
    const endpoint = `unix:${join(folder.path, "mecha.sock")}`;
    const ended = await mecha(["state", "set", "a", "1", "-e", endpoint], { cwd: folder.path });
    expect(ended.code).toBe(0);
  });
});

describe("mecha serve says in one line why it does not start", () => {
  it.each([
    ["no app id", [], 2, /^mecha: which app is this runtime for\? Say --app-id/],
    [
      "an app id that is no DNS label",
      ["--app-id", "Shop!"],
      2,
      /^mecha: option '--app-id <id>'.* is invalid. use 1 to 63/,
    ],
    ["a port that is none", ["--app-id", "shop", "--port", "70000"], 2, /a port is a number from 0 to 65535/],
    ["a log level that is none", ["--app-id", "shop", "--log-level", "loud"], 2, /Allowed choices are trace, debug/],
    [
      "an option that is none",
      ["--app-id", "shop", "--prot", "1"],
      2,
      /unknown option '--prot'\n\(Did you mean --port\?\)/,
    ],
    ["a port and a socket", ["--app-id", "shop", "--port", "1", "--socket", "s"], 2, /cannot be used with/],
    [
      "other machines, and no token",
      ["--app-id", "shop", "--host", "0.0.0.0"],
      2,
      /^mecha: other machines reach 0\.0\.0\.0/,
    ],
    [
      "a token file that is not there",
      ["--app-id", "shop", "--token-file", "none"],
      1,
      /from none: it does not exist\n$/,
    ],
    ["an empty token file", ["--app-id", "shop", "--token-file", "empty"], 1, /from empty: the file is empty\n$/],
    ["a data directory that cannot be made", ["--app-id", "shop", "--data-dir", "empty/data"], 1, /empty\/data/],
    ["resources that are not there", ["--app-id", "shop", "-r", "none.yaml"], 1, /none\.yaml: there is no such file/],
  ])("%s", async (_, args, code, message) => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "empty"), "");
    const ended = await mecha(["serve", ...args], { cwd: folder.path });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toMatch(/^\s+at /m);
    expect(ended.code).toBe(code);
  });

  it("a busy port, with who holds it", async () => {
    await using folder = await temporaryFolder();
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as AddressInfo;
    const ended = await mecha(["serve", "--app-id", "shop", "--port", String(port)], { cwd: folder.path });
    holder.close();
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain(`mecha: port ${port} is in use by process ${process.pid} (`);
    expect(ended.stderr).toContain("choose another with --port");
  });

  it("a socket that another runtime has", async () => {
    await using folder = await temporaryFolder();
    const args = ["serve", "--app-id", "shop", "--socket", "mecha.sock"];
    await using running = start(args, { cwd: folder.path });
    await running.output(/"msg":"ready"/);
    const ended = await mecha(args, { cwd: folder.path });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("mecha.sock is in use: another runtime answers on this socket");
  });

  it("everything that is wrong in the resources, with file and line", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "mecha.yaml"), wrongResources);
    const ended = await mecha(["serve", "--app-id", "shop"], { cwd: folder.path });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/^mecha: nothing was started:\n {2}mecha\.yaml:4: /);
    expect(ended.stderr).toMatch(/^ {2}mecha\.yaml:4: .*"sqllite".*did you mean "sqlite"/m);
    expect(ended.stderr).toMatch(/^ {2}mecha\.yaml:9: .*"blocs".*did you mean "blocks"/m);
  });
});

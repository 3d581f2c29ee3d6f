import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";
import { mecha, type Running, start, temporaryFolder } from "./cli.js";

/** A folder with an authority, and a `mecha ca` that works in it. */
async function withAuthority() {
  const folder = await temporaryFolder();
  const ca = (...args: string[]) => mecha(["ca", ...args], { cwd: folder.path });
  expect(await ca("init", "--trust-domain", "shop.example")).toMatchObject({ code: 0, stderr: "" });
  return { ...folder, ca };
}

async function serveAuthority(cwd: string): Promise<Running & { address: string }> {
  const running = start(["ca", "serve", "--port", "0"], { cwd });
  const [, address = ""] = await running.output(/"endpoint":"([^"]+)".*"msg":"ready"/);
  return { ...running, address };
}

describe("mecha ca", () => {
  it("makes an authority that only its user reads, once", async () => {
    await using folder = await withAuthority();
    expect((await stat(join(folder.path, "ca"))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder.path, "ca/ca.key"))).mode & 0o777).toBe(0o600);
    const again = await folder.ca("init");
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/^mecha: ca exists and is not empty/) });
  });

  it("makes tokens, alone on stdout; lists and revokes them", async () => {
    await using folder = await withAuthority();
    const made = await folder.ca("token", "--app", "orders", "--ttl", "1h");
    expect(made.stdout).toMatch(/^mecha1\.\S+\n$/);
    const [, id = ""] = /mecha ca revoke ([0-9a-f]{16})/.exec(made.stderr) ?? [];
    expect(made.stderr).toContain("one runtime of app orders in namespace default may enrol with it within 1 h;");
    expect((await folder.ca("tokens")).stdout).toMatch(new RegExp(`^${id} +orders +default +59 min`, "m"));
    const [line = ""] = (await folder.ca("tokens", "--json")).stdout.split("\n");
    expect(JSON.parse(line)).toMatchObject({ id, appId: "orders", expireTime: expect.stringMatching(/^\d{4}-.*Z$/) });
    expect(await folder.ca("revoke", id)).toMatchObject({ code: 0, stdout: `token ${id} is useless now\n` });
    expect(await folder.ca("revoke", id)).toMatchObject({ code: 1, stderr: expect.stringContaining(`no token ${id}`) });
    expect((await folder.ca("tokens")).stdout).toBe("no token can be used\n");
  });

  it.each([
    [
      ["token", "--app", "orders", "--dir", "none"],
      1,
      /there is no authority in none: make one with "mecha ca init --dir none --trust-domain <name>"/,
    ],
    [["tokens", "--dir", "none"], 1, /there is no authority in none/],
    [["serve", "--dir", "none"], 1, /there is no authority in none/],
    [["token"], 2, /required option '--app <id>'/],
    [["token", "--app", "orders", "--ttl", "2d"], 2, /a token is good for 1s to 24h/],
    [["init", "--trust-domain", "Shop Example", "--dir", "new"], 1, /"Shop Example" is no trust domain/],
  ])("%j is an error that says what to do", async (args, code, message) => {
    await using folder = await temporaryFolder();
    const ended = await mecha(["ca", ...args], { cwd: folder.path });
    expect(ended).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(message) });
  });

  it("serves: runtimes enrol with it, once by a token in a file, and call one another", async () => {
    await using folder = await withAuthority();
    await using authority = await serveAuthority(folder.path);
    const port = await freePort();
    const ordersScript = `
      require("node:http").createServer((request, response) => response.end("hello " + request.headers["mecha-caller"])).listen(${port}, "127.0.0.1");
      console.log("up");`;
    const shopScript = `
      const headers = { "mecha-token": process.env.MECHA_API_TOKEN };
      (async () => {
        for (;;) {
          const response = await fetch(process.env.MECHA_ENDPOINT + "/invoke/orders/", { headers });
          if (response.status === 200) { console.log(await response.text()); break; }
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        process.exit(0);
      })();`;
    const run = (app: string, script: string, ...args: string[]) => {
      const own = ["--app-id", app, "--port", "0", "--ca", authority.address, ...args];
      return start(["run", ...own, "--", process.execPath, "--eval", script], { cwd: folder.path });
    };
    await writeFile(join(folder.path, "orders.token"), (await folder.ca("token", "--app", "orders")).stdout);
    await writeFile(join(folder.path, "shop.token"), (await folder.ca("token", "--app", "shop")).stdout);
    const orders = ["--app-port", String(port), "--enroll-token-file", "orders.token"];
    {
      await using running = run("orders", ordersScript, ...orders);
      await running.output(/^up$/m);
      await running.output(/other apps find this one/);
      running.child.kill("SIGTERM");
      await running.ended;
    }
    // It is enrolled: the token is used up, and its file may go.
    await rm(join(folder.path, "orders.token"));
    await using running = run("orders", ordersScript, ...orders);
    await running.output(/other apps find this one/);
    await using shop = run("shop", shopScript, "--enroll-token-file", "shop.token");
    expect(await shop.ended).toMatchObject({ code: 0, stdout: "hello shop\n" });
    authority.child.kill("SIGTERM");
    expect(await authority.ended).toMatchObject({ code: 0, stderr: "" });
  });
});

describe("mecha serve --edge-port", () => {
  it("lets outsiders reach what a policy exposes, and says where", async () => {
    await using folder = await temporaryFolder();
    const policy =
      "apiVersion: mecha.dev/v1\nkind: Policy\nmetadata: { name: open }\nspec: { target: { app: orders }, edge: { expose: true } }\n";
    await writeFile(join(folder.path, "mecha.yaml"), policy);
    const args = ["serve", "--app-id", "front", "--port", "0", "--edge-port", "0"];
    await using running = start(args, { cwd: folder.path, env: { MECHA_API_TOKEN: "secret" } });
    const [, edge = ""] = await running.output(/"edgeEndpoint":"([^"]+)"/);
    // Exposed, but nobody is there: no token is asked for.
    expect((await fetch(`${edge}/invoke/orders/x`)).status).toBe(404);
    expect(await (await fetch(`${edge}/invoke/orders/x`)).text()).toContain("APP_NOT_FOUND");
    // Nothing else is there, least of all what the app itself may call.
    expect((await fetch(`${edge}/state/key`)).ok).toBe(false);
  });
});

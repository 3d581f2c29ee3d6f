import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "@mecha/test-servers";
import { describe, expect, it } from "vitest";
import { appsFolder, idle, prelude, processIds, up } from "./apps.js";
import { isAlive, mecha, until } from "./cli.js";

describe("mecha up: several apps", () => {
  const storefront = `${prelude}
    serve(async (request, response) => response.end("storefront " + await call("catalogue", "/books")));
    console.log("catalogue:", await call("catalogue", "/books"));`;
  const catalogue = `${prelude}
    serve(async (request, response) => response.end(request.headers["mecha-caller"] + " asked catalogue; " + await call("reviews", "/of/7")));
    console.log("reviews:", await call("reviews", "/of/7"));`;
  const reviews = `${prelude}
    serve((request, response) => response.end(request.headers["mecha-caller"] + " asked reviews for " + request.url));`;

  it("call one another by app id; they start when what they depend on is ready, and stop before it", async () => {
    const port = await freePort();
    await using folder = await appsFolder({
      storefront: { script: storefront, spec: { port: "auto", dependsOn: ["catalogue"] } },
      catalogue: { script: catalogue, spec: { port: "auto", dependsOn: ["reviews-v2"] } },
      "reviews-v2": { script: reviews, spec: { appId: "reviews", port, env: { PORT: String(port) } } },
    });
    await using running = up(folder, "--access-log");
    await running.output(
      /^storefront +│ catalogue: 200 storefront asked catalogue; 200 catalogue asked reviews for \/of\/7$/m,
    );
    await running.output(/│ storefront: ready$/m);
    await running.output(/^reviews-v2 +│ mecha │ .*INFO: .*\n(?:.*\n)*?.*│ mecha │ +path: "\/of\/7"$/m);
    running.child.kill("SIGTERM");
    const { code, stdout, stderr } = await running.ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^APP +APP ID +PORT +RUNTIME +COMMAND\nstorefront +storefront +\d+ +http:\/\/127\.0\.0\.1:\d+ +/m,
    );
    expect(stdout).toMatch(/^reviews-v2 +reviews +\d+ +http/m);
    const order = [...stdout.matchAll(/^\S+ +│ (?:(\S+): (ready|ended)|up)/gm)].map(
      ([, app, what]) => app && `${app} ${what}`,
    );
    expect(order.filter((line) => line?.endsWith("ready"))).toEqual([
      "reviews-v2 ready",
      "catalogue ready",
      "storefront ready",
    ]);
    expect(order.slice(-3)).toEqual(["storefront ended", "catalogue ended", "reviews-v2 ended"]);
    for (const processId of processIds(stdout).values()) expect(isAlive(processId)).toBe(false);
  });

  it("are those of --only, of several files, with the environment that their resources say", async () => {
    await using folder = await appsFolder({
      one: { script: "console.log('never')" },
      two: {
        script: "console.log(process.env.COLOUR, process.env.WORD, process.cwd().endsWith('/sub'))",
        spec: { env: { COLOUR: "red", WORD: { $env: "SOME_WORD" } }, dependsOn: ["one"] },
      },
    });
    await writeFile(
      join(folder.path, "more.yaml"),
      `apiVersion: mecha.dev/v1\nkind: App\nmetadata: { name: three }\nspec: { command: "${process.execPath} --print 'process.env.MECHA_APP_ID + 1'" }\n`,
    );
    const ended = await mecha(["up", "-f", "mecha.yaml", "-f", "more.yaml", "--only", "two,three"], {
      cwd: folder.path,
      env: { SOME_WORD: "hello" },
    });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toMatch(/^two +│ red hello false$/m);
    expect(ended.stdout).toMatch(/^three +│ three1$/m);
    expect(ended.stdout).not.toContain("never");
  });
});

describe("mecha up: an app that ends", () => {
  it("with an error is started anew, with longer and longer waits", async () => {
    const script = `
      import { appendFileSync, readFileSync } from "node:fs";
      appendFileSync("runs", "x");
      process.exit(readFileSync("runs", "utf8").length < 4 ? 7 : 0);`;
    await using folder = await appsFolder({ flaky: { script, spec: { restart: { minBackoff: "20ms" } } } });
    await using running = up(folder);
    const { code, stdout } = await running.ended;
    const said = stdout.split("\n").filter((line) => line.startsWith("mecha"));
    expect(said).toEqual([
      expect.stringMatching(/│ flaky: failed \(exit code 7\), next try in (1[6-9]|2[0-4]) ms$/),
      expect.stringMatching(/│ flaky: failed 2 times \(exit code 7\), next try in (3[2-9]|4[0-8]) ms$/),
      expect.stringMatching(/│ flaky: failed 3 times \(exit code 7\), next try in (6[4-9]|[78]\d|9[0-6]) ms$/),
      expect.stringMatching(/│ flaky: ended \(exit code 0\)$/),
    ]);
    expect(code).toBe(0);
  });

  it("for good is said, the others go on, those that depend on it are not started, and the exit code is 1", async () => {
    await using folder = await appsFolder({
      broken: { script: "process.exit(9)", spec: { restart: { policy: "never" }, port: "auto" } },
      needy: { script: "console.log('never')", spec: { dependsOn: ["broken"] } },
      missing: { script: "", spec: { command: ["no-such-program"] } },
      job: { script: "console.log('done')" },
      after: { script: "console.log('after the job')", spec: { dependsOn: ["job"] } },
      steady: { script: idle },
    });
    await using running = up(folder);
    await running.output(/^mecha +│ broken: failed for good \(exit code 9\)$/m);
    await running.output(
      /^mecha +│ needy: failed for good \(it was not started: it depends on broken, which failed\)$/m,
    );
    await running.output(
      /^mecha +│ missing: failed for good \(cannot start the app: no program "no-such-program" is in /m,
    );
    await running.output(/^after +│ after the job$/m);
    const [, processId] = await running.output(/^steady +│ up (\d+)$/m);
    expect(isAlive(Number(processId))).toBe(true);
    running.child.kill("SIGINT");
    const { code, stdout } = await running.ended;
    expect(code).toBe(1);
    expect(stdout).toMatch(/^mecha +│ steady: ended \(SIGINT\)$/m);
    expect(stdout).not.toContain("never");
  });

  it("by a probe that fails is started anew", async () => {
    const script = `${prelude}
      let asked = 0;
      serve((request, response) => response.writeHead(++asked < 3 ? 200 : 500).end());
      process.on("SIGTERM", () => { console.log("asked to end"); process.exit(0); });`;
    const probes = {
      startup: { tcp: true, interval: "50ms" },
      liveness: { http: "/", interval: "50ms", failures: 2 },
    };
    await using folder = await appsFolder({
      sick: { script, spec: { port: "auto", probes, restart: { minBackoff: "20ms" } } },
    });
    await using running = up(folder);
    await running.output(
      /sick: failed \(its liveness probe failed: .*\), next try in[\s\S]*│ up[\s\S]*failed 2 times \(its liveness/,
    );
    running.child.kill("SIGTERM");
    expect((await running.ended).stdout).toContain("│ asked to end");
  });

  it("because its runtime is lost comes back with another one, which listens where the first did", async () => {
    const script = `
      const response = await fetch(process.env.MECHA_ENDPOINT + "/mecha.runtime.v1.RuntimeService/GetInfo", {
        method: "POST", body: "{}",
        headers: { authorization: "Bearer " + process.env.MECHA_API_TOKEN, "content-type": "application/json" },
      });
      console.log("runtime", (await response.json()).processId, process.env.MECHA_ENDPOINT);
      setInterval(() => {}, 1000);`;
    await using folder = await appsFolder({ shop: { script, spec: { restart: { minBackoff: "20ms" } } } });
    await using running = up(folder);
    const [, runtime, endpoint] = await running.output(/^shop +│ runtime (\d+) (\S+)$/m);
    process.kill(Number(runtime), "SIGKILL");
    await running.output(/shop: failed \(the runtime was lost \(SIGKILL\), so the app was stopped\), next try/);
    const [, second, again] = await running.output(/lost[\s\S]*^shop +│ runtime (\d+) (\S+)$/m);
    expect(second).not.toBe(runtime);
    expect(again).toBe(endpoint);
  });
});

describe("mecha up: watch", () => {
  it("starts an app anew when its files change, at once and beside the same runtime; one that has ended too", async () => {
    const script = `
      import { word } from "./src/deep/word.mjs";
      console.log(word, process.env.MECHA_ENDPOINT, process.pid);
      if (word !== "third") setInterval(() => {}, 1000);
      if (word === "second") process.exit(1);`;
    await using folder = await appsFolder({
      shop: { script, spec: { watch: ["src"], restart: { policy: "never" } } },
      other: { script: idle },
    });
    await mkdir(join(folder.path, "src/deep"), { recursive: true });
    const write = (word: string) => writeFile(join(folder.path, "src/deep/word.mjs"), `export const word = "${word}";`);
    await write("first");
    await using running = up(folder);
    const [, endpoint, processId] = await running.output(/^shop +│ first (\S+) (\d+)$/m);
    await write("second");
    await running.output(/^mecha +│ shop: src\/deep\/word\.mjs changed, it starts anew$/m);
    const [, sameEndpoint] = await running.output(/^shop +│ second (\S+)/m);
    expect(sameEndpoint).toBe(endpoint);
    expect(isAlive(Number(processId))).toBe(false);
    await running.output(/^mecha +│ shop: failed \(exit code 1\), waits for a change$/m);
    await write("third");
    await running.output(/^shop +│ third/m);
    await running.output(/^mecha +│ shop: ended \(exit code 0\), waits for a change$/m);
    running.child.kill("SIGTERM");
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    expect(processIds(stdout).size).toBe(1);
  });
});

describe("mecha up: signals", () => {
  const stubborn = `process.on("SIGTERM", () => console.log("asked")); ${idle}`;

  it("a second one ends everything at once", async () => {
    await using folder = await appsFolder({ one: { script: stubborn }, two: { script: stubborn } });
    await using running = up(folder);
    await running.output(/^one +│ up/m);
    await running.output(/^two +│ up/m);
    running.child.kill("SIGTERM");
    await running.output(/^one +│ asked$/m);
    await running.output(/^two +│ asked$/m);
    running.child.kill("SIGTERM");
    const { code, stdout } = await running.ended;
    expect(code).toBe(143);
    for (const processId of processIds(stdout).values()) await until(() => !isAlive(processId));
  });

  it("SIGKILL leaves no app behind, nor what it started, also after a restart", async () => {
    const script = `
      import { spawn } from "node:child_process";
      import { existsSync, writeFileSync } from "node:fs";
      if (!existsSync("ran")) { writeFileSync("ran", ""); process.exit(1); }
      spawn(process.execPath, ["-e", "process.on('SIGTERM', () => setTimeout(process.exit, 200)); console.log('up', process.pid); setInterval(() => {}, 1000)"], { stdio: "inherit" });
      process.on("SIGTERM", () => process.exit(0));`;
    await using folder = await appsFolder({
      one: { script, spec: { restart: { minBackoff: "20ms" } } },
      two: { script: idle },
    });
    await using running = up(folder);
    await running.output(/^one +│ up \d+$/m);
    await running.output(/^two +│ up \d+$/m);
    running.child.kill("SIGKILL");
    const started = processIds((await running.ended).stdout);
    expect(started.size).toBe(2);
    for (const processId of started.values()) await until(() => !isAlive(processId));
  });
});

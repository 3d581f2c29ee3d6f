import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mecha, temporaryFolder, wrongResources } from "./cli.js";

describe("mecha init", () => {
  it("writes a file that mecha check finds nothing wrong with", async () => {
    await using folder = await temporaryFolder();
    expect((await mecha(["init"], { cwd: folder.path })).stdout).toBe("wrote mecha.yaml\n");
    const checked = await mecha(["check"], { cwd: folder.path });
    expect(checked).toMatchObject({ code: 0, stderr: "" });
    expect(checked.stdout).toMatch(/^main +sqlite +state \(default\)/m);
  });

  it("writes a second component and a subscription that work once they are uncommented", async () => {
    await using folder = await temporaryFolder();
    await mecha(["init"], { cwd: folder.path });
    const path = join(folder.path, "mecha.yaml");
    const text = await readFile(path, "utf8");
    const [first = "", ...more] = text.split(/^(?=# ---$)/m);
    expect(more).toHaveLength(2);
    await writeFile(path, first.replace(/^ {2}default: true.*\n/m, "") + more.join("").replaceAll(/^# /gm, ""));
    const checked = await mecha(["check"], { cwd: folder.path, env: { DATABASE_URL: "postgres://localhost/shop" } });
    expect(checked).toMatchObject({ code: 0, stderr: "" });
    expect(checked.stdout).toMatch(/^orders-db +postgres +state \(default\)/m);
    expect(checked.stdout).toMatch(/^orders +group "app" of topic "orders" \(component "orders-db"\) +\/orders/m);
  });

  it("makes the folder that is missing", async () => {
    await using folder = await temporaryFolder();
    expect((await mecha(["init", "deploy/mecha.yaml"], { cwd: folder.path })).stdout).toBe("wrote deploy/mecha.yaml\n");
    expect(await mecha(["check", "deploy/mecha.yaml"], { cwd: folder.path })).toMatchObject({ code: 0 });
  });

  it("never overwrites", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "mecha.yaml");
    await writeFile(path, "mine");
    const ended = await mecha(["init"], { cwd: folder.path });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("mecha.yaml is there already, and stays as it is");
    expect(await readFile(path, "utf8")).toBe("mine");
  });
});

describe("mecha check", () => {
  it("tells every mistake with its file and line", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "wrong.yaml"), wrongResources);
    const ended = await mecha(["check", "wrong.yaml"], { cwd: folder.path });
    expect(ended.code).toBe(1);
    expect(ended.stderr.trim().split("\n")).toEqual([
      expect.stringMatching(/^✗ wrong\.yaml:4: .*sqllite/),
      expect.stringMatching(/^✗ wrong\.yaml:9: .*blocs/),
    ]);
  });

  it("tells them in JSON as well", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "wrong.yaml"), wrongResources);
    const ended = await mecha(["check", "wrong.yaml", "--json"], { cwd: folder.path });
    expect(ended.code).toBe(1);
    const { problems } = JSON.parse(ended.stdout) as { problems: { source: string }[] };
    expect(problems.map(({ source }) => source)).toEqual(["wrong.yaml:4", "wrong.yaml:9"]);
  });

  it("finds broken YAML, and a variable that is not set", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "a.yaml"), "kind: Component\nmetadata: { name: main\n");
    await writeFile(
      join(folder.path, "b.yaml"),
      "apiVersion: mecha.dev/v1\nkind: Component\nmetadata: { name: db }\nspec:\n  type: postgres\n  config: { url: { $env: NOT_SET } }\n",
    );
    const ended = await mecha(["check", "a.yaml", "b.yaml"], { cwd: folder.path });
    expect(ended.stderr).toMatch(/^✗ a\.yaml:\d+: YAML: /m);
    expect(ended.stderr).toMatch(/^✗ b\.yaml:6: .*NOT_SET/m);
  });

  it("names apps and policies, too", async () => {
    await using folder = await temporaryFolder();
    const resource = (kind: string, name: string, spec: string) =>
      `apiVersion: mecha.dev/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
    const app = resource("App", "orders", "{ command: [node, orders.js] }");
    const policy = resource("Policy", "patience", "{ target: { app: orders }, timeout: { total: 2s } }");
    await writeFile(join(folder.path, "mecha.yaml"), `${app}---\n${policy}`);
    const ended = await mecha(["check"], { cwd: folder.path });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toMatch(/^orders +App +mecha\.yaml:1$/m);
    expect(ended.stdout).toMatch(/^patience +Policy +mecha\.yaml:6$/m);
  });
});

describe("mecha schema", () => {
  it("describes every type of component that the CLI brings along", async () => {
    await using folder = await temporaryFolder();
    const ended = await mecha(["schema"], { cwd: folder.path });
    expect(ended.code).toBe(0);
    const { allOf } = JSON.parse(ended.stdout) as { allOf: { if: unknown; then: { allOf?: { if: unknown }[] } }[] };
    const conditions = JSON.stringify(
      allOf.flatMap((each) => [each.if, ...(each.then.allOf ?? []).map((type) => type.if)]),
    );
    for (const kind of ["Component", "Subscription"]) expect(conditions).toContain(`"${kind}"`);
    for (const type of ["env", "file", "memory", "postgres", "redis", "sqlite"])
      expect(conditions).toContain(`"${type}"`);
  });
});

describe("mecha --help", () => {
  it.each([
    ["run"],
    ["serve"],
    ["init"],
    ["check"],
    ["schema"],
    ["info"],
    ["state", "get"],
    ["state", "set"],
    ["state", "delete"],
    ["state", "list"],
    ["state", "watch"],
    ["publish"],
    ["subscribe"],
    ["deadletters", "list"],
    ["deadletters", "requeue"],
    ["deadletters", "drop"],
  ])("teaches %s %s with examples", async (...command) => {
    await using folder = await temporaryFolder();
    const ended = await mecha([...command, "--help"], { cwd: folder.path });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toContain(`Examples:\n  $ mecha ${command.join(" ")}`);
  });

  it("stands for everything with a bare mecha, and for what does not exist with a word of advice", async () => {
    await using folder = await temporaryFolder();
    const bare = await mecha([], { cwd: folder.path });
    expect(bare.code).toBe(2);
    expect(bare.stderr).toContain("Start here:");
    const unknown = await mecha(["serv"], { cwd: folder.path });
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toBe(
      "mecha: unknown command 'serv'\n(Did you mean serve?)\n(--help shows how, with examples)\n",
    );
  });
});

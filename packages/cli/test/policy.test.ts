import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mecha, temporaryFolder } from "./cli.js";

const policies = `apiVersion: mecha.dev/v1
kind: Policy
metadata: { name: everywhere }
spec:
  target: { app: "*" }
  timeout: { total: 5s }
  retry: { maxAttempts: 2 }
---
apiVersion: mecha.dev/v1
kind: Policy
metadata: { name: orders-writes }
spec:
  target: { app: orders }
  match: { paths: ["/x/**"], methods: [POST], headers: { x-user: beta } }
  timeout: { total: 2s, perTry: 500ms }
---
apiVersion: mecha.dev/v1
kind: AccessPolicy
metadata: { name: guard }
spec:
  app: orders
  rules:
    - { from: [shop], paths: ["/x/**"] }
`;

async function explain(...args: string[]) {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "mecha.yaml"), policies);
  return await mecha(["policy", "explain", ...args], { cwd: folder.path });
}

describe("mecha policy explain", () => {
  it("tells for each section what holds, by which policy and why, and what lost", async () => {
    const { code, stdout } = await explain("--from", "shop", "--to", "orders", "-H", "X-User: beta", "post", "/x/1");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^POST \/x\/1 from shop to orders\n/);
    expect(stdout).toMatch(
      /^timeout +\{ total: 2s, perTry: 500ms \}\n +policy orders-writes, mecha\.yaml:15, by the caller's runtime\n +not everywhere, mecha\.yaml:6: less specific by target\n/m,
    );
    expect(stdout).toMatch(/^retry +\{ maxAttempts: 2 \}\n +policy everywhere, mecha\.yaml:7, /m);
    expect(stdout).toMatch(/^balancing +\{ algorithm: least-request \}\n +the default, /m);
    expect(stdout).toMatch(/^access +allowed: by a rule of access policy guard, mecha\.yaml:23$/m);
  });

  it("tells why a policy is not for the call, and that access is denied", async () => {
    const { stdout } = await explain("--from", "other", "--to", "orders", "/x/1");
    expect(stdout).toMatch(/^GET \/x\/1 from other to orders\n/);
    expect(stdout).toMatch(/^timeout +\{ total: 5s \}\n.*everywhere, .*\n +not orders-writes, mecha\.yaml:15: \S+/m);
    expect(stdout).toMatch(/^access +denied: by the default of access policy guard, mecha\.yaml:\d+$/m);
  });

  it("prints JSON with --json", async () => {
    const { stdout } = await explain("--from", "shop", "--to", "orders", "POST", "/x/1", "--json");
    const { call, policies, access } = JSON.parse(stdout) as Record<string, unknown>;
    expect(call).toEqual({ from: "shop", to: "orders", method: "POST", path: "/x/1", headers: {} });
    expect(policies).toContainEqual(
      expect.objectContaining({
        section: "timeout",
        value: { total: "5s" },
        policy: "everywhere",
        source: "mecha.yaml:6",
      }),
    );
    expect(access).toMatchObject({ allowed: true, by: "rule", policy: "guard" });
  });

  it("is for calls of components too", async () => {
    const { code, stdout } = await explain("--component", "orders-db");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "calls of component orders-db\n\nno policy says anything about it\n",
    });
  });

  it.each([
    [["--to", "orders"], 2, /^mecha: which call\? Say --from <app> and --to <app>, or --component <name>\n$/],
    [["--from", "shop", "--to", "orders", "-H", "beta"], 2, /write it as 'name: value'/],
    [["--component", "db", "--to", "orders"], 2, /cannot be used with/],
    [["--from", "shop", "--to", "orders", "/a%2fb"], 1, /^mecha: the path is not passed on: it has an encoded slash/],
  ])("%j is an error that says what to do", async (args, code, message) => {
    const ended = await explain(...args);
    expect(ended).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(message) });
  });

  it("tells what is wrong with the resources, and explains nothing", async () => {
    await using folder = await temporaryFolder();
    await writeFile(
      join(folder.path, "wrong.yaml"),
      policies.replace("timeout: { total: 5s }", "timeout: { totl: 5s }"),
    );
    const ended = await mecha(["policy", "explain", "--from", "a", "--to", "b", "-r", "wrong.yaml"], {
      cwd: folder.path,
    });
    expect(ended).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/^✗ wrong\.yaml:6: .*"totl"/) });
  });
});

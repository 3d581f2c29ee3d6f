import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mecha, type Running, serve, temporaryFolder } from "./cli.js";

const service = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  response.writeHead(request.url === "/missing" ? 404 : 200, { "content-type": request.headers["content-type"] ?? "" });
  response.end(chunks.length > 0 ? Buffer.concat(chunks) : `${request.method} ${request.url}`);
});
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let runtime: Running & { endpoint: string };

beforeAll(async () => {
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  folder = await temporaryFolder();
  const { port } = service.address() as AddressInfo;
  await writeFile(
    join(folder.path, "mecha.yaml"),
    `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: shop-api }
spec: { type: http, config: { baseUrl: "http://127.0.0.1:${port}", allowedNetworks: ["127.0.0.1/32"] } }
`,
  );
  runtime = await serve([], { cwd: folder.path });
});
afterAll(async () => {
  await runtime[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
  service.closeAllConnections();
  service.close();
});

const run = (args: string[], input = "") =>
  mecha(args, { cwd: folder.path, env: { MECHA_ENDPOINT: runtime.endpoint }, input });
const invoke = (args: string[], input?: string) => run(["invoke-binding", "shop-api", ...args], input);

describe("mecha invoke-binding", () => {
  it("does an operation with its parameters, and prints the answer's bytes", async () => {
    const answer = await invoke(["get", "--metadata", "path=/orders", "-m", "query.page=2"]);
    expect(answer).toMatchObject({ code: 0, stdout: "GET /orders?page=2", stderr: "" });
  });

  it("takes data as an argument, from a file and from standard input, and tells its media type", async () => {
    await writeFile(join(folder.path, "order.txt"), "from a file");
    for (const [data, input, contentType, value] of [
      ['{"n": 1}', "", "application/json", { n: 1 }],
      ["@order.txt", "", "text/plain; charset=utf-8", "from a file"],
      ["-", "from a pipe", "text/plain; charset=utf-8", "from a pipe"],
    ] as const) {
      const { stdout } = await invoke(["post", data, "--json"], input);
      expect(JSON.parse(stdout)).toMatchObject({ contentType, value, metadata: { status: "200" } });
    }
  });

  it("has answers of any status, and failures with words that say what there is", async () => {
    const missing = await invoke(["get", "-m", "path=/missing", "--json"]);
    expect(missing.code).toBe(0);
    expect(JSON.parse(missing.stdout)).toMatchObject({ metadata: { status: "404" } });
    const unknown = await invoke(["fetch"]);
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toMatch(/fetch.*it has: get, head, options, post/);
    expect((await invoke(["get", "-m", "path"])).code).toBe(2);
    expect((await invoke(["get", "-m", "paht=/"])).stderr).toMatch(/paht.*it takes: path/);
  });
});

describe("mecha info", () => {
  it("lists the operations of bindings with their parameters", async () => {
    const { stdout } = await run(["info"]);
    expect(stdout).toMatch(/shop-api.*binding.*OUTPUT/);
    expect(stdout).toMatch(/request\s+method, \[path\], \[query\.\*\]/);
    const { components } = JSON.parse((await run(["info", "--json"])).stdout) as {
      components: { name: string; blocks: { operations: { name: string }[] }[] }[];
    };
    const operations = components.find(({ name }) => name === "shop-api")?.blocks[0]?.operations;
    expect(operations?.map(({ name }) => name)).toContain("get");
  });
});

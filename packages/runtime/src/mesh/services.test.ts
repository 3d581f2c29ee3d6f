import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createTransport, serve } from "@mecha/rpc";
import { describe, expect, onTestFinished, test } from "vitest";
import { type EchoClient, EchoService, routeEcho } from "../../test/echo-service.js";
import { temporaryFolder } from "../../test/helpers.js";
import { findsApp, startMeshRuntime } from "../../test/mesh.js";

/** A user's service behind one runtime, and a client of it behind another. */
async function start(protocol: "connect" | "grpc" | "grpc-web"): Promise<EchoClient> {
  const app = await serve({
    routes: routeEcho,
    fallback: (_request, response) => void response.writeHead(200).end(),
  });
  onTestFinished(() => app.close({ deadlineMs: 0 }));
  const dataDir = temporaryFolder();
  await startMeshRuntime("orders", dataDir, { appPort: Number(new URL(app.endpoint).port) });
  const shop = await startMeshRuntime("shop", dataDir);
  await findsApp(shop, "orders");
  const transport = createTransport({
    endpoint: shop.endpoint,
    protocol,
    interceptors: [
      (next) => (request) => {
        if (!request.header.has("mecha-app")) request.header.set("mecha-app", "orders");
        return next(request);
      },
    ],
  });
  onTestFinished(() => transport.close());
  // Its descriptor was made here, so that its types are not known to the compiler.
  return createClient(EchoService, transport) as unknown as EchoClient;
}

async function collect(answers: AsyncIterable<{ value: string }>): Promise<string[]> {
  const values: string[] = [];
  for await (const { value } of answers) values.push(value);
  return values;
}

async function* send(...values: string[]) {
  for (const value of values) yield { value };
}

describe.each(["connect", "grpc", "grpc-web"] as const)("%s", (protocol) => {
  test("unary calls, and their errors with what they carry", async () => {
    const client = await start(protocol);
    expect((await client.unary({ value: "hello" })).value).toBe("shop: hello");
    const error = ConnectError.from(await client.unary({ value: "fail" }).catch((reason: unknown) => reason));
    expect([error.code, error.rawMessage, error.metadata.get("x-why")]).toEqual([
      Code.FailedPrecondition,
      "as you wish",
      "asked",
    ]);
  });

  test("streams of either side", async () => {
    const client = await start(protocol);
    expect(await collect(client.server({ value: "abc" }))).toEqual(["shop: a", "shop: b", "shop: c"]);
    expect((await client.client(send("a", "b", "c"))).value).toBe("shop: abc");
    await expect(collect(client.server({ value: "fail" }))).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });

  test("a stream both ways: each message is answered before the next is sent", async () => {
    const client = await start(protocol);
    let answered = Promise.withResolvers<void>();
    async function* talk() {
      for (const value of ["one", "two", "three"]) {
        yield { value };
        await answered.promise;
        answered = Promise.withResolvers<void>();
      }
    }
    const values: string[] = [];
    for await (const { value } of client.bidi(talk())) {
      values.push(value);
      answered.resolve();
    }
    expect(values).toEqual(["shop: one", "shop: two", "shop: three"]);
  });

  test("an app that nobody knows is not found, in the words of the protocol", async () => {
    const client = await start(protocol);
    const refusal = { code: Code.NotFound, rawMessage: expect.stringContaining('there is no app "nobody"') };
    const options = { headers: { "mecha-app": "nobody" } };
    await expect(client.unary({ value: "x" }, options)).rejects.toMatchObject(refusal);
    await expect(collect(client.server({ value: "x" }, options))).rejects.toMatchObject(refusal);
  });
});

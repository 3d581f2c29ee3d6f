import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder, until } from "../../test/helpers.js";
import { startMeshRuntime } from "../../test/mesh.js";
import type { ResourceObject } from "../index.js";

const policy: ResourceObject = {
  apiVersion: "mecha.dev/v1",
  kind: "Policy",
  metadata: { name: "breaks" },
  spec: {
    target: { app: "orders" },
    circuitBreaker: { consecutive: 3, openFor: "100ms" },
    retry: { maxAttempts: 1 },
    outlierEjection: { consecutiveErrors: 0 },
  },
};

test("a gRPC stream that lasts lets others try whether the app is well again", async () => {
  let isWell = false;
  const head = { ":status": 200, "content-type": "application/grpc" };
  const app = http2.createServer();
  app.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    if (!isWell) return stream.respond({ ...head, "grpc-status": "14" }, { endStream: true });
    if (headers[":path"] !== "/watch") return stream.respond({ ...head, "grpc-status": "0" }, { endStream: true });
    stream.respond(head);
    stream.write(Buffer.alloc(5));
  });
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void app.close());
  const dataDir = temporaryFolder();
  await startMeshRuntime("orders", dataDir, { appPort: (app.address() as AddressInfo).port });
  const shop = await startMeshRuntime("shop", dataDir, { resources: [policy] });
  const session = http2.connect(shop.endpoint);
  onTestFinished(() => session.destroy());
  /** What a call's answer begins with: a status where it is all of it. */
  const call = (path: string) =>
    new Promise<string>((resolve) => {
      const content = { "content-type": "application/grpc", te: "trailers", "mecha-app": "orders" };
      const stream = session.request({ ":method": "POST", ":path": path, ...content });
      stream.on("error", () => {}).end(Buffer.alloc(5));
      stream.once("response", (answer) => {
        const message = decodeURIComponent(String(answer["grpc-message"] ?? ""));
        resolve(answer["grpc-status"] === undefined ? "begun" : `${answer["grpc-status"]} ${message}`);
      });
    });
  await until(async () => (await call("/x")).includes("circuit breaker"), "the breaker is open");
  isWell = true;
  await until(async () => (await call("/watch")) === "begun", "a stream tries");
  expect(await call("/x")).toContain("circuit breaker");
  await until(async () => (await call("/x")) === "0 ", "another call tries, and closes it");
});

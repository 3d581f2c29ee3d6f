import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { bindingConformance, startComponent } from "@mecha/component/conformance";
import { afterAll, beforeAll, test } from "vitest";
import { http } from "./index.js";

const server = createServer((request, response) => {
  if (request.url !== "/slow") response.end("{}");
});
let baseUrl = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const cases = bindingConformance({
  open: () => startComponent(http, { baseUrl, allowedNetworks: ["127.0.0.0/8"] }),
  features: ["OUTPUT"],
  works: { operation: "get", metadata: { path: "/" } },
  slow: { operation: "get", metadata: { path: "/slow" } },
});

for (const { name, run } of cases) test(name, run);

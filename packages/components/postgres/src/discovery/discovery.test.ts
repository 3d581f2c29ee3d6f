import { discoveryConformance, startComponent } from "@mecha/component/conformance";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import { afterAll, beforeAll, describe, test } from "vitest";
import { postgres } from "../index.js";

describe.skipIf(missing("postgres"))("conformance", { timeout: 60_000 }, () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = discoveryConformance({
    features: ["REGISTER", "LIST"],
    open: () => startComponent(postgres, { url: server.url }),
  });
  for (const { name, run } of cases) test(name, run);
});

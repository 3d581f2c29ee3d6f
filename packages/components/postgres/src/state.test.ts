import { startComponent, stateConformance } from "@mecha/component/conformance";
import { missing, startPostgres, type TestServer } from "@mecha/test-servers";
import pg from "pg";
import { afterAll, beforeAll, describe, test } from "vitest";
import { postgres } from "./index.js";

describe.skipIf(missing("postgres"))("conformance", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const cases = stateConformance({
    open: () => startComponent(postgres, { url: server.url }),
    features: ["TRANSACT", "WATCH", "TTL"],
    durability: "HOST",
    shared: true,
    async expireResumeTokens() {
      // What the sweep notes when it forgets deletions.
      const client = new pg.Client(server.url);
      await client.connect();
      await client.query("UPDATE mecha.state_log SET forgotten = clock_timestamp()");
      await client.end();
    },
  });
  for (const { name, run } of cases) test(name, run);
});

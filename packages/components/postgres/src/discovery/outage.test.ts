import { discoveryOutage, startComponent } from "@mecha/component/conformance";
import { missing, startPostgres } from "@mecha/test-servers";
import { describe, test } from "vitest";
import { postgres } from "../index.js";

describe.skipIf(missing("postgres"))("when PostgreSQL goes away", { timeout: 120_000 }, () => {
  const cases = discoveryOutage({
    startServer: () => startPostgres(),
    open: ({ url }) => startComponent(postgres, { url, statementTimeoutMs: 2_000, connectTimeoutMs: 1_000 }),
  });
  for (const { name, run } of cases) test(name, run);
});

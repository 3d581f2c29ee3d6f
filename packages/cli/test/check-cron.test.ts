import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { mecha, temporaryFolder } from "./cli.js";

test("mecha check refuses a cron line that never fires, with its line", async () => {
  await using folder = await temporaryFolder();
  const resource = (schedule: string) => `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: nightly }
spec:
  type: cron
  config: { schedule: "${schedule}" }
`;
  await writeFile(join(folder.path, "mecha.yaml"), resource("0 0 30 2 *"));
  const refused = await mecha(["check"], { cwd: folder.path });
  expect(refused.code).toBe(1);
  expect(refused.stdout + refused.stderr).toMatch(/mecha\.yaml:6.*"0 0 30 2 \*" never fires/s);
  await writeFile(join(folder.path, "mecha.yaml"), resource("0 0 28 2 *"));
  expect((await mecha(["check"], { cwd: folder.path })).code).toBe(0);
});

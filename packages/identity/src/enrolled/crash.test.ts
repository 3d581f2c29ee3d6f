import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createManualClock } from "@mecha/component/conformance";
import { expect, onTestFinished, test } from "vitest";
import { makeAuthority, openIdentity, startAuthority } from "../../test/authority.js";
import { temporaryFolder } from "../../test/helpers.js";

test("a runtime that is killed while it renews has a certificate when it is started again, without a token", async () => {
  const made = makeAuthority({ clock: createManualClock(Date.now()) });
  const { server } = await startAuthority(made);
  const folder = join(temporaryFolder(), "identity");
  const program = fileURLToPath(new URL("../../test/renew-on-and-on.ts", import.meta.url));
  const seen = new Set<string>();
  for (const [index, renewals] of [1, 7, 12].entries()) {
    const token = index === 0 ? made.token() : "";
    const child = spawn(process.execPath, [program, server.endpoint, folder, token], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    onTestFinished(() => void child.kill("SIGKILL"));
    let count = 0;
    for await (const _ of createInterface({ input: child.stdout })) {
      // Between two renewals, or in the middle of one.
      if (++count === renewals) setTimeout(() => child.kill("SIGKILL"), Math.random() * 20);
    }
    expect(await ended).toEqual([null, "SIGKILL"]);
    const { identity } = await openIdentity({ authority: server.endpoint, clock: made.clock, folder });
    identity.close();
    seen.add(identity.current.secrets().cert);
  }
  expect(seen.size).toBe(3);
});

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const run = promisify(execFile);

describe("the story of the bookshop", { timeout: 240_000 }, () => {
  it("holds on the embedded default", async () => {
    const { stdout } = await run(process.execPath, ["src/story/bookshop.ts"], { cwd: join(import.meta.dirname, "..") });
    // Each step asserts what it says; here is that none is left out, and what a reader sees.
    expect(stdout.match(/^\d\. .*$/gm)).toEqual([
      "1. Five apps, one command: mecha up",
      "2. Version 2 of the reviews gets a tenth of the calls",
      "3. Beta testers always get it",
      "4. Version 2 breaks, and no customer notices",
      "5. Three calls in ten fail on purpose, and retries absorb it",
      "6. An app that is not listed is refused",
      "7. One of these visits, through all apps",
      "8. Why a call goes as it goes: mecha policy explain",
    ]);
    expect(stdout).toContain("200 of 200 pages came");
    expect(stdout).toContain("403 ACCESS_DENIED");
    expect(stdout).toMatch(/^ +storefront +call catalogue +200 .*\n +storefront +attempt catalogue, number 1 +500 /m);
    expect(stdout).toMatch(/^ +catalogue +serve storefront +200 .*^ +reviews +serve catalogue +200 /ms);
    expect(stdout).toMatch(/^ +split +\[.*x-beta.*\n +policy reviews-canary, policies\/reviews\.yaml:\d+/m);
    expect(stdout).toContain("All of it held");
  });
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bindingConformance, startComponent } from "@mecha/component/conformance";
import { afterAll, test } from "vitest";
import { localfile } from "./index.js";

const root = mkdtempSync(join(tmpdir(), "mecha-localfile-suite-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
const cases = bindingConformance({
  open: () => startComponent(localfile, { root, watch: { intervalMs: 10 } }),
  features: ["OUTPUT", "INPUT"],
  works: { operation: "list" },
  trigger: () => writeFileSync(join(root, `file-${++count}`), "x"),
});

for (const { name, run } of cases) test(name, run);

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

test.each(["index.ts", "state.ts", "index.test.ts"])("the README's %s is the one that is tested", async (name) => {
  const [readme, code] = await Promise.all(
    ["../README.md", `example/${name}`].map((path) => readFile(new URL(path, import.meta.url), "utf8")),
  );
  expect(readme).toContain(`\`\`\`ts excerpt\n${code}\`\`\``);
});

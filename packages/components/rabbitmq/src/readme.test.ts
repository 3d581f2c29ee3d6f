import { readFile } from "node:fs/promises";
import { withOptionsTable } from "@mecha/component";
import { expect, test } from "vitest";
import { rabbitmq } from "./index.js";

test("the README's options are those of the schema", async () => {
  const readme = new URL("../README.md", import.meta.url);
  await expect(withOptionsTable(await readFile(readme, "utf8"), rabbitmq)).toMatchFileSnapshot(readme.pathname);
});

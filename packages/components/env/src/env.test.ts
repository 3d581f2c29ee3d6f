import { readFile } from "node:fs/promises";
import { withOptionsTable } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { afterEach, expect, test, vi } from "vitest";
import { env } from "./index.js";

const { signal } = new AbortController();

async function get(key: string, config: { prefix?: string } = {}): Promise<string | undefined> {
  const component = await startComponent(env, config);
  return component.blocks.secret?.get(key, { signal });
}

afterEach(() => {
  vi.unstubAllEnvs();
});

test("a variable is a secret as it is, an empty one too", async () => {
  vi.stubEnv("MECHA_TEST_SECRET", " s3cret\n");
  vi.stubEnv("MECHA_TEST_EMPTY", "");
  expect(await get("MECHA_TEST_SECRET")).toBe(" s3cret\n");
  expect(await get("MECHA_TEST_EMPTY")).toBe("");
});

test("a variable that is not set is absent, also one by a name that JavaScript knows", async () => {
  for (const key of ["MECHA_TEST_NONE", "constructor", "__proto__", "toString"]) expect(await get(key)).toBeUndefined();
});

test("with a prefix only variables by it are read", async () => {
  vi.stubEnv("SHOP_KEY", "shop");
  vi.stubEnv("OTHER_KEY", "other");
  expect(await get("KEY", { prefix: "SHOP_" })).toBe("shop");
  expect(await get("OTHER_KEY", { prefix: "SHOP_" })).toBeUndefined();
});

test("a value that is set later is found", async () => {
  const component = await startComponent(env, {});
  vi.stubEnv("MECHA_TEST_LATER", "now");
  expect(await component.blocks.secret?.get("MECHA_TEST_LATER", { signal })).toBe("now");
});

test("what cannot be a variable's name is refused", async () => {
  for (const key of ["", "A=B", "A\0"]) await expect(get(key)).rejects.toMatchObject({ reason: "BAD_REQUEST" });
});

test("a caller that is gone gets its reason", async () => {
  const component = await startComponent(env, {});
  const gone = AbortSignal.abort(new Error("gone"));
  await expect(component.blocks.secret?.get("PATH", { signal: gone })).rejects.toThrow("gone");
});

test("an unknown option is refused", async () => {
  await expect(startComponent(env, { prefx: "SHOP_" })).rejects.toThrow("prefx");
});

test("the README's options are those of the schema", async () => {
  const readme = new URL("../README.md", import.meta.url);
  await expect(withOptionsTable(await readFile(readme, "utf8"), env)).toMatchFileSnapshot(readme.pathname);
});

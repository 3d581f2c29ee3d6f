import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { withOptionsTable } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { afterEach, beforeEach, expect, test } from "vitest";
import { file } from "./index.js";
import { maxSecretBytes } from "./secret.js";

const { signal } = new AbortController();
let baseDir: string;
let folder: string;

beforeEach(async () => {
  baseDir = await mkdtemp(join(tmpdir(), "mecha-file-"));
  folder = join(baseDir, "secrets");
  await mkdir(folder);
});

afterEach(async () => {
  await rm(baseDir, { recursive: true });
});

async function get(key: string, config: { path?: string } = { path: "secrets" }): Promise<string | undefined> {
  const component = await startComponent(file, config, { baseDir });
  return component.blocks.secret?.get(key, { signal });
}

test("a file is a secret, in a folder too, without the newline at its end", async () => {
  await mkdir(join(folder, "db"));
  await writeFile(join(folder, "db", "password"), "  p\u00e4ss\n");
  await writeFile(join(folder, "windows"), "line 1\r\nline 2\r\n");
  await writeFile(join(folder, "two-newlines"), "x\n\n");
  await writeFile(join(folder, "empty"), "");
  expect(await get("db/password")).toBe("  p\u00e4ss");
  expect(await get("windows")).toBe("line 1\r\nline 2");
  expect(await get("two-newlines")).toBe("x\n");
  expect(await get("empty")).toBe("");
});

test("what is not there, or is no file, is absent", async () => {
  await mkdir(join(folder, "db"));
  await writeFile(join(folder, "plain"), "x");
  await promisify(execFile)("mkfifo", [join(folder, "pipe")]);
  for (const key of ["none", "db", "plain/below", "pipe", "n".repeat(5_000)]) expect(await get(key)).toBeUndefined();
});

test("no key leads out of the folder", async () => {
  await writeFile(join(baseDir, "outside"), "x");
  await mkdir(`${folder}-too`);
  await writeFile(join(`${folder}-too`, "key"), "x");
  await symlink(join(baseDir, "outside"), join(folder, "link"));
  await symlink(baseDir, join(folder, "folder-link"));
  await symlink(`${folder}-too`, join(folder, "neighbour"));
  const keys = [
    "",
    "/",
    "..",
    "../outside",
    "db/../../outside",
    "./x",
    "a//b",
    "a/",
    join(baseDir, "outside"),
    "a\0b",
    "..\\outside",
  ];
  keys.push("link", "folder-link/outside", "neighbour/key");
  for (const key of keys) await expect(get(key), key).rejects.toMatchObject({ reason: "BAD_REQUEST" });
});

test("a Kubernetes mount is read through its links, and an update is seen", async () => {
  const mount = async (version: string, value: string) => {
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, "token"), value);
    await symlink(version, join(folder, "..data_tmp"));
    await rename(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  await mount("..2026_01_01", "old");
  await symlink(join("..data", "token"), join(folder, "token"));
  const component = await startComponent(file, { path: "secrets" }, { baseDir });
  expect(await component.blocks.secret?.get("token", { signal })).toBe("old");
  await mount("..2026_01_02", "new");
  expect(await component.blocks.secret?.get("token", { signal })).toBe("new");
});

test("a secret of the largest size is read, one byte more is refused", async () => {
  await writeFile(join(folder, "largest"), "x".repeat(maxSecretBytes));
  await writeFile(join(folder, "larger"), "x".repeat(maxSecretBytes + 1));
  expect(await get("largest")).toHaveLength(maxSecretBytes);
  await expect(get("larger")).rejects.toMatchObject({ reason: "TOO_LARGE" });
});

test("bytes that are no text are refused", async () => {
  await writeFile(join(folder, "binary"), Uint8Array.of(0xff, 0xfe));
  await expect(get("binary")).rejects.toMatchObject({ reason: "BAD_REQUEST" });
});

test("a file that cannot be read is an error, not absence", async () => {
  await symlink("loop", join(folder, "loop"));
  await expect(get("loop")).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
});

test("a folder that is named must exist, the default one need not", async () => {
  await expect(startComponent(file, { path: "nowhere" }, { baseDir })).rejects.toMatchObject({
    reason: "COMPONENT_UNAVAILABLE",
  });
  const named = await startComponent(file, { path: "secrets" }, { baseDir });
  await named.health(signal);
  await rm(folder, { recursive: true });
  await expect(named.health(signal)).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
  const byDefault = await startComponent(file, {}, { baseDir });
  await byDefault.health(signal);
  expect(await byDefault.blocks.secret?.get("key", { signal })).toBeUndefined();
});

test("the default folder is read", async () => {
  await writeFile(join(folder, "key"), "value\n");
  expect(await get("key", {})).toBe("value");
});

test("a caller that is gone gets its reason", async () => {
  const component = await startComponent(file, {}, { baseDir });
  const gone = AbortSignal.abort(new Error("gone"));
  await expect(component.blocks.secret?.get("key", { signal: gone })).rejects.toThrow("gone");
});

test("the README's options are those of the schema", async () => {
  const readme = new URL("../README.md", import.meta.url);
  await expect(withOptionsTable(await readFile(readme, "utf8"), file)).toMatchFileSnapshot(readme.pathname);
});

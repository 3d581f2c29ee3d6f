import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openRoot, reasonOf } from "../test/open.js";

describe("a file", () => {
  test("is written, read, listed and deleted", async () => {
    const { root, invoke } = await openRoot();
    await invoke("write", { path: "reports/2026/today.txt" }, "first");
    await invoke("write", { path: "reports/2026/today.txt" }, "second");
    expect(readFileSync(join(root, "reports/2026/today.txt"), "utf8")).toBe("second");
    const read = await invoke("read", { path: "reports/2026/today.txt" });
    expect(read).toMatchObject({ text: "second", contentType: "text/plain; charset=utf-8", metadata: { size: "6" } });
    expect(JSON.parse((await invoke("list", { path: "reports/2026" })).text)).toMatchObject([
      { name: "today.txt", type: "file", size: 6 },
    ]);
    expect(JSON.parse((await invoke("list")).text)).toMatchObject([{ name: "reports", type: "folder" }]);
    expect((await invoke("delete", { path: "reports/2026/today.txt" })).metadata).toEqual({ existed: "true" });
    expect((await invoke("delete", { path: "reports/2026/today.txt" })).metadata).toEqual({ existed: "false" });
    expect(readdirSync(join(root, "reports/2026"))).toEqual([]);
  });

  test("keeps every byte, an empty one is no missing one, and its name may be any that every system has", async () => {
    const { invoke } = await openRoot();
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    await invoke("write", { path: "über 日本 …x" }, bytes);
    expect((await invoke("read", { path: "über 日本 …x" })).data).toEqual(bytes);
    await invoke("write", { path: "empty" });
    expect((await invoke("read", { path: "empty" })).metadata.size).toBe("0");
    expect(await reasonOf(invoke("read", { path: "missing" }))).toBe("NOT_EXISTS");
    expect(await reasonOf(invoke("read", { path: "no/such/folder" }))).toBe("NOT_EXISTS");
    expect(await reasonOf(invoke("list", { path: "nowhere" }))).toBe("NOT_EXISTS");
  });

  test("is made once by those who ask for an absent one", async () => {
    const { invoke, root } = await openRoot();
    const make = (text: string) => reasonOf(invoke("write", { path: "lock", ifAbsent: "true" }, text));
    const outcomes = await Promise.all(Array.from({ length: 16 }, (_, n) => make(String(n))));
    expect(outcomes.filter((outcome) => outcome === "it did not fail")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "ALREADY_EXISTS")).toHaveLength(15);
    expect(readdirSync(root)).toEqual(["lock"]);
  });

  test("is never seen half written", async () => {
    const { invoke } = await openRoot();
    const texts = ["a", "b"].map((letter) => letter.repeat(300_000));
    await invoke("write", { path: "file" }, texts[0]);
    let done = false;
    const writing = (async () => {
      for (let n = 0; n < 40; n++) await invoke("write", { path: "file" }, texts[n % 2]);
      done = true;
    })();
    while (!done) expect(texts.includes((await invoke("read", { path: "file" })).text)).toBe(true);
    await writing;
  });

  test("over the limit is TOO_LARGE, one of the limit is not", async () => {
    const { root, invoke } = await openRoot({ maxFileBytes: 1000 });
    await invoke("write", { path: "file" }, "x".repeat(1000));
    expect((await invoke("read", { path: "file" })).data.byteLength).toBe(1000);
    expect(await reasonOf(invoke("write", { path: "file" }, "x".repeat(1001)))).toBe("TOO_LARGE");
    writeFileSync(join(root, "file"), "x".repeat(1001));
    expect(await reasonOf(invoke("read", { path: "file" }))).toBe("TOO_LARGE");
  });

  test("that is a folder or a pipe is none", async () => {
    const { root, invoke } = await openRoot();
    mkdirSync(join(root, "folder"));
    execFileSync("mkfifo", [join(root, "pipe")]);
    for (const path of ["folder", "pipe"]) expect(await reasonOf(invoke("read", { path }))).toBe("BAD_REQUEST");
    expect(await reasonOf(invoke("delete", { path: "folder" }))).toBe("BAD_REQUEST");
    expect(await reasonOf(invoke("write", { path: "folder" }, "x"))).toBe("BAD_REQUEST");
    expect(new Set(readdirSync(root))).toEqual(new Set(["folder", "pipe"]));
  });

  test("is listed by pages", async () => {
    const { invoke } = await openRoot();
    const names = Array.from({ length: 25 }, (_, n) => `file-${String(n).padStart(2, "0")}`);
    for (const path of names) await invoke("write", { path });
    const listed: string[] = [];
    let after: string | undefined;
    do {
      const page = await invoke("list", { limit: "10", ...(after !== undefined && { after }) });
      listed.push(...(JSON.parse(page.text) as { name: string }[]).map(({ name }) => name));
      after = page.metadata.next;
    } while (after !== undefined);
    expect(listed).toEqual(names);
    expect(await reasonOf(invoke("list", { limit: "1001" }))).toBe("BAD_REQUEST");
  });
});

describe("nothing outside the root is reached", () => {
  test.each([
    "../secret",
    "a/../../secret",
    "..",
    "a/..",
    "./secret",
    "/etc/passwd",
    "//etc/passwd",
    "a//b",
    "a/",
    "",
    "nul\0l",
    "..\\secret",
    "C:\\secret",
    "C:secret",
    "a:stream",
    "con",
    "NUL.txt",
    "folder/COM1",
    "trailing.",
    "trailing ",
    "line\nbreak",
    ".mecha-0123456789abcdef",
    "x".repeat(256),
    "x/".repeat(600),
    "\ud800",
  ])("by path %j, nor by anything that some system reads so", async (path) => {
    const { outside, invoke } = await openRoot();
    writeFileSync(join(outside, "secret"), "secret");
    for (const operation of ["read", "write", "delete"])
      expect(await reasonOf(invoke(operation, { path }))).toBe("BAD_REQUEST");
    if (path !== "") expect(await reasonOf(invoke("list", { path }))).toBe("BAD_REQUEST");
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret");
  });

  test("by a symbolic link to a file or a folder, anywhere on the way", async () => {
    const { root, outside, invoke } = await openRoot();
    mkdirSync(join(outside, "folder"));
    writeFileSync(join(outside, "folder/secret"), "secret");
    symlinkSync("../folder", join(root, "link"));
    symlinkSync(join(outside, "folder/secret"), join(root, "file"));
    mkdirSync(join(root, "a"));
    symlinkSync("../../folder", join(root, "a/b"));
    for (const path of ["link/secret", "file", "a/b/secret"]) {
      expect(await reasonOf(invoke("read", { path }))).toBe("BAD_REQUEST");
    }
    for (const path of ["link/new", "a/b/new", "link/deep/new"]) {
      expect(await reasonOf(invoke("write", { path }, "x"))).toBe("BAD_REQUEST");
    }
    expect(await reasonOf(invoke("list", { path: "link" }))).toBe("BAD_REQUEST");
    expect(await reasonOf(invoke("delete", { path: "link/secret" }))).toBe("BAD_REQUEST");
    // Writing and deleting a link's name is about the link, not about what it leads to.
    await invoke("write", { path: "file" }, "mine");
    expect(readFileSync(join(root, "file"), "utf8")).toBe("mine");
    expect((await invoke("delete", { path: "link" })).metadata.existed).toBe("true");
    expect(JSON.parse((await invoke("list")).text)).toMatchObject([{ name: "a" }, { name: "file" }]);
    expect(readFileSync(join(outside, "folder/secret"), "utf8")).toBe("secret");
    expect(readdirSync(join(outside, "folder"))).toEqual(["secret"]);
  });

  test.runIf(process.platform === "linux")(
    "by a folder that becomes a link while it is written to",
    async () => {
      const { root, outside, invoke } = await openRoot();
      const [folder, aside, target] = [join(root, "folder"), join(outside, "aside"), join(outside, "target")];
      mkdirSync(folder);
      mkdirSync(target);
      let over = false;
      const outcomes = new Set<string>();
      const writing = (async () => {
        for (let n = 0; n < 1500; n++) outcomes.add(await reasonOf(invoke("write", { path: `folder/file-${n}` }, "x")));
        over = true;
      })();
      /** Writes make the folder that is missing: what came to stand there meanwhile gives way. */
      const place = async (put: () => void) => {
        for (;;) {
          rmSync(folder, { recursive: true, force: true });
          try {
            put();
            return await new Promise((resolve) => setTimeout(resolve, 1));
          } catch (error) {
            if (!/EEXIST|ENOTEMPTY/.test(String(error))) throw error;
          }
        }
      };
      while (!over) {
        renameSync(folder, aside);
        await place(() => symlinkSync(target, folder));
        await place(() => renameSync(aside, folder));
      }
      await writing;
      expect(readdirSync(target)).toEqual([]);
      expect(
        [...outcomes].filter(
          (outcome) => !["it did not fail", "BAD_REQUEST", "NOT_EXISTS", "ALREADY_EXISTS"].includes(outcome),
        ),
      ).toEqual([]);
      expect(outcomes).toContain("it did not fail");
      expect(outcomes).toContain("BAD_REQUEST");
    },
    60_000,
  );
});

test("a read-only one has no operation that writes", async () => {
  const { root, invoke } = await openRoot({ readOnly: true });
  expect(await reasonOf(invoke("write", { path: "file" }, "x"))).toBe("BAD_REQUEST");
  expect(await reasonOf(invoke("delete", { path: "file" }))).toBe("BAD_REQUEST");
  expect(existsSync(join(root, "file"))).toBe(false);
});

test("a root that is not there, or is no folder, is refused in words", async () => {
  const { outside } = await openRoot();
  await expect(openRoot({ root: join(outside, "nowhere"), create: false })).rejects.toThrow(
    /is not there.*create: true/,
  );
  writeFileSync(join(outside, "file"), "");
  await expect(openRoot({ root: join(outside, "file"), create: false })).rejects.toThrow(/is no folder/);
});

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { ComponentError } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { expect, test } from "vitest";
import { keys, set, stateOf, text } from "../test/operations.ts";
import { startRemoteProcess } from "../test/remote-component.ts";
import { temporaryFolder } from "../test/temporary-folder.ts";
import { sqlite } from "./index.js";

const open = (dataDir: string, config: object = {}) => startComponent(sqlite, config, { dataDir, baseDir: dataDir });

async function failure(action: Promise<unknown>): Promise<ComponentError> {
  const error: unknown = await action.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(error instanceof ComponentError)) throw new Error("expected a ComponentError", { cause: error });
  return error;
}

const mode = (path: string) => statSync(path).mode & 0o777;

test("the file and what SQLite puts beside it are for this user only, and so are folders that are made", async () => {
  const dataDir = temporaryFolder();
  const before = process.umask(0);
  try {
    const component = await open(dataDir, { path: "deep/down/state.db" });
    await set(stateOf(component), ["key", "v"]);
    expect(mode(join(dataDir, "deep"))).toBe(0o700);
    for (const suffix of ["", "-wal", "-shm"]) expect(mode(join(dataDir, `deep/down/state.db${suffix}`))).toBe(0o600);
    await component.close();
  } finally {
    process.umask(before);
  }
});

test("a file that is no database is refused with words on what to do", async () => {
  const dataDir = temporaryFolder();
  writeFileSync(join(dataDir, "mecha.db"), "this is not a database, however long it is. ".repeat(200));
  const error = await failure(open(dataDir));
  expect(error.reason).toBe("STORAGE_CORRUPT");
  expect(error.message).toMatch(/mecha\.db: the database file is damaged.*restore a backup/);
});

test("a database that lost its pages is refused, or says so where it is damaged", async () => {
  const dataDir = temporaryFolder();
  const path = join(dataDir, "mecha.db");
  const first = await open(dataDir);
  await set(
    stateOf(first),
    ...Array.from({ length: 100 }, (_, n) => [`key-${n}`, "v".repeat(4_000)] as [string, string]),
  );
  await first.close();
  const { size } = statSync(path);
  const whole = readFileSync(path);
  truncateSync(path, size / 2);
  const component = await open(dataDir).catch((error: unknown) => error);
  if (component instanceof ComponentError) {
    expect(component.reason).toBe("STORAGE_CORRUPT");
  } else {
    const { blocks, close } = component as Awaited<ReturnType<typeof open>>;
    const state = stateOf({ blocks } as Awaited<ReturnType<typeof open>>);
    const reads = await Promise.allSettled(Array.from({ length: 100 }, async (_, n) => text(state, `key-${n}`)));
    const refused = reads.filter((read) => read.status === "rejected").map(({ reason }) => reason.reason);
    expect(new Set(refused)).toEqual(new Set(["STORAGE_CORRUPT"]));
    await close();
  }
  // A restored backup serves again.
  for (const suffix of ["-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
  writeFileSync(path, whole);
  const restored = await open(dataDir);
  expect(await keys(stateOf(restored))).toHaveLength(100);
  await restored.close();
});

test("a newer layout is refused at the start, and by a runtime that runs while it is upgraded", async () => {
  const dataDir = temporaryFolder();
  const component = await open(dataDir);
  await set(stateOf(component), ["key", "v"]);
  const other = new DatabaseSync(join(dataDir, "mecha.db"));
  other.exec("PRAGMA user_version = 99");
  const newer = /newer version of Mecha \(layout 99/;
  expect((await failure(set(stateOf(component), ["key", "w"]))).message).toMatch(newer);
  expect((await failure(component.health(AbortSignal.timeout(1_000)))).message).toMatch(newer);
  expect((await failure(open(dataDir))).message).toMatch(newer);
  other.close();
  await component.close();
});

test("someone else's database is refused", async () => {
  const dataDir = temporaryFolder();
  const other = new DatabaseSync(join(dataDir, "mecha.db"));
  other.exec("CREATE TABLE theirs (n)");
  other.close();
  expect((await failure(open(dataDir))).message).toMatch(
    /not one of Mecha's: `config.path` must name a file of its own/,
  );
});

test("a place where nothing can be written is refused with words", async () => {
  const dataDir = temporaryFolder();
  writeFileSync(join(dataDir, "file"), "");
  expect((await failure(open(join(dataDir, "file")))).message).toMatch(/a part of its path is a file, not a folder/);
  mkdirSync(join(dataDir, "folder"));
  expect((await failure(open(dataDir, { path: "folder" }))).message).toMatch(/must name a file/);

  const readOnly = join(dataDir, "read-only");
  mkdirSync(readOnly);
  chmodSync(dataDir, 0o755);
  chmodSync(readOnly, 0o555);
  // Nothing is forbidden to root, so the process becomes nobody.
  const user = process.getuid?.() === 0 ? { user: 65534 } : {};
  const remote = await startRemoteProcess(user);
  const error = await failure(remote.open(readOnly));
  await remote.stop();
  expect(error.reason).toBe("COMPONENT_UNAVAILABLE");
  expect(error.message).toMatch(/this user may not write there; .*--data-dir/);
});

test("while another process holds the file a write waits, then fails with words, and reads go on", async () => {
  const dataDir = temporaryFolder();
  const component = await open(dataDir, { lockTimeoutMs: 100 });
  const state = stateOf(component);
  await set(state, ["key", "before"]);
  const other = new DatabaseSync(join(dataDir, "mecha.db"));
  other.exec("BEGIN IMMEDIATE");
  const writing = failure(set(state, ["key", "held"]));
  expect(await text(state, "key")).toBe("before");
  const error = await writing;
  expect(error.reason).toBe("COMPONENT_UNAVAILABLE");
  expect(error.retryAfterMs).toBeGreaterThan(0);
  expect(error.message).toMatch(/another process has held it for more than 100 ms/);
  const waiting = set(state, ["key", "after"]);
  other.exec("ROLLBACK");
  await waiting;
  expect(await text(state, "key")).toBe("after");
  other.close();
  await component.close();
});

test("a file that is removed while it is in use takes no more writes", async () => {
  const dataDir = temporaryFolder();
  const component = await open(dataDir);
  await set(stateOf(component), ["key", "v"]);
  rmSync(join(dataDir, "mecha.db"));
  for (const error of [
    await failure(set(stateOf(component), ["key", "w"])),
    await failure(component.health(AbortSignal.timeout(1_000))),
  ]) {
    expect(error.reason).toBe("COMPONENT_UNAVAILABLE");
    expect(error.message).toMatch(/removed or replaced while it was in use: restart the runtime/);
  }
  await component.close();
});

/** Starts a command with a small disk of its own on `folder`, which is gone with it. */
const smallDisk = (folder: string) => [
  "unshare",
  process.getuid?.() === 0 ? "-m" : "-rm",
  "sh",
  "-c",
  `mount -t tmpfs -o size=12m tmpfs ${folder} && head -c 8388608 /dev/zero > ${folder}/ballast && exec "$@"`,
  "sh",
];

function canMount(): boolean {
  const folder = temporaryFolder();
  const [command = "", ...args] = smallDisk(folder);
  return process.env.MECHA_TEST_ALL === "1" || spawnSync(command, [...args, "true"]).status === 0;
}

test.skipIf(!canMount())("a full disk refuses what does not fit, keeps everything else, and recovers", async () => {
  const dataDir = temporaryFolder();
  const remote = await startRemoteProcess({ within: smallDisk(dataDir) });
  const component = await remote.open(dataDir);
  const { state } = component;
  const half = new Uint8Array(512 * 1024);
  const written: string[] = [];
  let error: ComponentError | undefined;
  while (error === undefined) {
    const key = `large-${written.length}`;
    await set(state, [key, half]).then(
      () => written.push(key),
      (reason: ComponentError) => {
        error = reason;
      },
    );
  }
  expect(error.reason).toBe("STORAGE_FULL");
  expect(error.message).toMatch(/disk .* is full: nothing was written; free some space/);
  expect(written.length).toBeGreaterThan(1);
  expect(await keys(state)).toEqual(written);
  // Of writes that share a transaction only the one that does not fit fails.
  const together = await Promise.allSettled([
    set(state, ["small-1", "v"]),
    set(state, ["too-large", new Uint8Array(4 * 1024 * 1024)]),
    set(state, ["small-2", "v"]),
  ]);
  expect(together.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(await keys(state, "small")).toEqual(["small-1", "small-2"]);
  // Room for the log and for what is copied out of it. The disk exists for that process only.
  rmSync(`/proc/${remote.pid}/root${dataDir}/ballast`);
  await set(state, ["large-again", half]);
  expect(await keys(state, "large-again")).toEqual(["large-again"]);
  await component.close();
  await remote.stop();
});

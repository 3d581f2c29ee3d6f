import { appendFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Component, ComponentError } from "@mecha/component";
import { expect, test } from "vitest";
import { openRoot } from "../test/open.js";

const watch = { intervalMs: 10 };

/** Takes changes, and acks them, until there are as many. */
async function take(component: Component, count: number): Promise<string[]> {
  const source = component.blocks.binding?.input?.consume({ keyspace: "default/shop" });
  if (source === undefined) throw new Error("nothing is watched");
  const changes: string[] = [];
  while (changes.length < count) {
    const call = { maxItems: 100, maxBytes: 1e6, leaseMs: 30_000, signal: AbortSignal.timeout(10_000) };
    const leases = await source.receive(call);
    if (leases.length === 0) break;
    await source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
    changes.push(...leases.map(({ event: { metadata } }) => `${metadata.change} ${metadata.path}`));
  }
  await source.close();
  return changes.toSorted((a, b) => (a < b ? -1 : 1));
}

test("files that appear, change and vanish are events, with their paths", async () => {
  const { root, component } = await openRoot({ watch });
  mkdirSync(join(root, "in/deep"), { recursive: true });
  writeFileSync(join(root, "in/a"), "a");
  writeFileSync(join(root, "in/deep/b"), "b");
  expect(await take(component, 2)).toEqual(["created in/a", "created in/deep/b"]);
  appendFileSync(join(root, "in/a"), "more");
  rmSync(join(root, "in/deep"), { recursive: true });
  expect(await take(component, 2)).toEqual(["changed in/a", "deleted in/deep/b"]);
});

test("files that are there at the start are events where that is asked for", async () => {
  const first = await openRoot();
  writeFileSync(join(first.root, "waiting"), "x");
  await first.component.close();
  const again = await openRoot({ root: first.root, watch: { ...watch, existing: true } });
  expect(await take(again.component, 1)).toEqual(["created waiting"]);
  const other = await openRoot({ root: first.root, watch });
  writeFileSync(join(first.root, "new"), "x");
  expect(await take(other.component, 1)).toEqual(["created new"]);
});

test("a file that is still being written is told of once it rests", async () => {
  const { root, component } = await openRoot({ watch: { intervalMs: 50 } });
  const path = join(root, "growing");
  writeFileSync(path, "");
  let size = 0;
  const growing = setInterval(() => appendFileSync(path, "x".repeat(++size)), 5);
  const stop = setTimeout(() => clearInterval(growing), 500);
  const changes = await take(component, 1);
  clearTimeout(stop);
  clearInterval(growing);
  expect(changes).toEqual(["created growing"]);
  expect(size, "it was not told of while it grew").toBeGreaterThan(10);
});

test("links lead nowhere, and what the component writes is one event", async () => {
  const { root, outside, component, invoke } = await openRoot({ watch });
  mkdirSync(join(outside, "elsewhere"));
  writeFileSync(join(outside, "elsewhere/secret"), "x");
  symlinkSync(join(outside, "elsewhere"), join(root, "link"));
  await invoke("write", { path: "file" }, "x");
  expect(await take(component, 1)).toEqual(["created file"]);
});

test("more files than are watched make it unhealthy, fewer heal it", async () => {
  const { root, component } = await openRoot({ watch: { ...watch, maxFiles: 2 } });
  for (const name of ["a", "b", "c"]) writeFileSync(join(root, name), "");
  const health = () =>
    component.health(new AbortController().signal).then(
      () => undefined,
      (error: unknown) => error,
    );
  const until = async (holds: (error: unknown) => boolean) => {
    for (const deadline = Date.now() + 10_000; !holds(await health()); ) {
      if (Date.now() > deadline) throw new Error("not within 10 s");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await until((error) => error instanceof ComponentError && /more than 2 files/.test(error.message));
  rmSync(join(root, "c"));
  await until((error) => error === undefined);
  expect(await take(component, 2)).toEqual(["created a", "created b"]);
});

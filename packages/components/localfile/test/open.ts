import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Component, ComponentError, checkInvocation } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { onTestFinished } from "vitest";
import { localfile } from "../src/index.js";

/** A folder of the test's own, gone after it. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mecha-localfile-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A root, with a neighbour that nothing may reach. */
export async function openRoot(config: Record<string, unknown> = {}) {
  const outside = temporaryFolder();
  const root = join(outside, "root");
  const component = await startComponent(localfile, { root, create: true, ...config });
  onTestFinished(() => component.close());
  return { root, outside, component, invoke: invoker(component) };
}

/** Calls the component as the runtime does: checked against its description first. */
export function invoker(component: Component) {
  const { binding } = component.blocks;
  if (binding?.invoke === undefined) throw new Error("the component has no operations");
  const { invoke } = binding;
  return async (operation: string, metadata: Record<string, string> = {}, data: string | Uint8Array = "") => {
    const call = { operation, metadata, data: typeof data === "string" ? Buffer.from(data) : data, contentType: "" };
    checkInvocation(binding, call, "files");
    const answer = await invoke({ ...call, keyspace: "default/shop", signal: new AbortController().signal });
    return { ...answer, text: Buffer.from(answer.data).toString() };
  };
}

/** The reason of a call that must fail. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) return "it did not fail";
  return error instanceof ComponentError ? error.reason : `no ComponentError: ${error}`;
}

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memory } from "@mecha/component-memory";
import { onTestFinished } from "vitest";
import { createRuntime, type ResourceObject, type Runtime, type RuntimeOptions } from "../src/index.js";

/** A folder of the test's own, gone after it. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mecha-runtime-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A `kind: Component` resource. */
export function component(name: string, spec: Record<string, unknown> = {}): ResourceObject {
  return {
    apiVersion: "mecha.dev/v1",
    kind: "Component",
    metadata: { name },
    spec: { type: "memory", acceptDurability: "PROCESS", ...spec },
  };
}

/** A runtime on a memory component, listening on a free port; stopped after the test. */
export async function startRuntime(options: RuntimeOptions = {}): Promise<Runtime & { endpoint: string }> {
  const runtime = await createRuntime({
    components: [memory],
    resources: [component("memory")],
    listen: { port: 0 },
    dataDir: temporaryFolder(),
    environment: {},
    ...options,
  });
  onTestFinished(() => runtime.close({ deadlineMs: 0 }));
  if (runtime.endpoint === undefined) throw new Error("the runtime listens nowhere");
  return Object.assign(runtime, { endpoint: runtime.endpoint });
}

/** What a call as `curl` makes it gets: `POST /mecha.state.v1.StateService/<method>` with JSON. */
export async function callState(
  endpoint: string,
  method: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; json: Record<string, unknown>; reason: string | undefined; fields: string[] }> {
  const response = await fetch(`${endpoint}/mecha.state.v1.StateService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const json = (await response.json()) as Record<string, unknown> & {
    details?: { type: string; debug: ErrorDetail }[];
  };
  const debugOf = (type: string) => json.details?.find((detail) => detail.type === type)?.debug;
  return {
    status: response.status,
    json,
    reason: debugOf("google.rpc.ErrorInfo")?.reason,
    fields: debugOf("google.rpc.BadRequest")?.fieldViolations?.map(({ field }) => field) ?? [],
  };
}

interface ErrorDetail {
  reason?: string;
  fieldViolations?: { field: string }[];
}

/** Waits until `condition` holds; fails after `withinMs`, which no test should need. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

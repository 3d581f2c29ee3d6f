import { type BindingData, ComponentError, checkInvocation } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { onTestFinished } from "vitest";
import { http } from "../src/index.js";

/** Calls the component as the runtime does: checked against its description first. */
export async function openHttp(config: Record<string, unknown>) {
  const component = await startComponent(http, { allowedNetworks: ["127.0.0.1/32"], ...config });
  onTestFinished(() => component.close());
  const { binding } = component.blocks;
  if (binding?.invoke === undefined) throw new Error("the component has no operations");
  const { invoke } = binding;
  return async (
    operation: string,
    metadata: Record<string, string> = {},
    data = "",
    { contentType = "", signal = new AbortController().signal } = {},
  ): Promise<BindingData & { text: string }> => {
    const call = { operation, metadata, data: Buffer.from(data), contentType };
    checkInvocation(binding, call, "http");
    const answer = await invoke({ ...call, keyspace: "default/shop", signal });
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

import { type Component, ComponentError, checkInvocation, type InputLease } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { onTestFinished } from "vitest";
import { mqtt } from "../src/index.js";

let count = 0;

/** A name that no other test uses. */
export const unique = (name: string) => `${name}-${process.pid}-${++count}`;

export async function open(config: Record<string, unknown>): Promise<Component> {
  const component = await startComponent(mqtt, config);
  onTestFinished(() => component.close());
  return component;
}

/** Calls the component as the runtime does: checked against its description first. */
export function publisher(component: Component) {
  const { binding } = component.blocks;
  if (binding?.invoke === undefined) throw new Error("the component has no operations");
  const { invoke } = binding;
  return async (
    metadata: Record<string, string>,
    data = "",
    contentType = "",
    signal: AbortSignal = AbortSignal.timeout(5_000),
  ) => {
    const call = { operation: "publish", metadata, data: Buffer.from(data), contentType };
    checkInvocation(binding, call, "mqtt");
    return invoke({ ...call, keyspace: "default/shop", signal });
  };
}

/** An app that takes messages. */
export function consume(component: Component) {
  const source = component.blocks.binding?.input?.consume({ keyspace: "default/shop" });
  if (source === undefined) throw new Error("nothing is subscribed");
  const take = async (maxItems = 100, withinMs = 10_000) =>
    source.receive({ maxItems, maxBytes: 1e8, leaseMs: 60_000, signal: AbortSignal.timeout(withinMs) });
  const one = async (): Promise<InputLease> => {
    const [lease] = await take(1);
    if (lease === undefined) throw new Error("no message came within 10 s");
    return lease;
  };
  const ack = async (...leases: readonly InputLease[]) =>
    source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
  return { source, take, one, ack };
}

export const text = ({ event }: InputLease) => Buffer.from(event.data).toString();

/** The reason of a call that must fail. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => "it did not fail",
    (reason: unknown) => reason,
  );
  return error instanceof ComponentError ? error.reason : String(error);
}

/** Polls until something holds. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, withinMs = 20_000): Promise<void> {
  for (const deadline = Date.now() + withinMs; !(await holds()); ) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

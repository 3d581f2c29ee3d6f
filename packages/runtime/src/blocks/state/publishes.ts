import { hash } from "node:crypto";
import type { PublishOperation } from "@mecha/api/state";
import { ComponentError, type PubSubEntry, type StatePublish } from "@mecha/component";
import type { Binding, ComponentRegistry } from "../../components/registry.js";
import { toKept } from "../../outbox/route.js";
import type { BlockContext } from "../block.js";
import { type ReadEntry, readEntry, sizeFault } from "../pubsub/entry.js";
import type { Violations } from "../validation.js";

/** A `publish` of a transaction, and its place among the operations. */
export interface AskedPublish {
  readonly index: number;
  readonly operation: PublishOperation;
}

/** One that was checked: where it goes, and what. */
export interface CheckedPublish extends ReadEntry {
  readonly index: number;
  readonly target: Binding<"pubsub">;
  readonly operation: PublishOperation;
}

/** Checks what a transaction publishes, as Publish would, and fills it in. */
export function checkPublishes(
  asked: readonly AskedPublish[],
  requestId: string,
  traceparent: string | undefined,
  { registry, identity, clock }: Pick<BlockContext, "registry" | "identity" | "clock">,
  violations: Violations,
): CheckedPublish[] {
  const now = clock.now();
  return asked.flatMap(({ index, operation }) => {
    const { entry: message, pubsub } = operation;
    const path = `operations[${index}].publish.`;
    if (message === undefined) {
      violations.add(`${path}entry`, "is missing");
      return [];
    }
    return atOperation(index, () => {
      const target = registry.use("pubsub", pubsub);
      const id = requestId === "" ? undefined : eventIdOf(identity.appId, requestId, index);
      const read = readEntry(message, `${path}entry.`, { binding: target, identity, now, id, traceparent }, violations);
      const tooLarge = sizeFault(read.entry, target);
      if (tooLarge !== undefined) throw tooLarge;
      return [{ index, operation, target, ...read }];
    });
  });
}

/** The same request names the same event. */
const eventIdOf = (appId: string, requestId: string, index: number): string =>
  hash("sha256", `${appId} ${requestId} ${index}`, "hex").slice(0, 32);

/** What a store is given to publish, and how to let go of the ways to other components. */
export interface RoutedPublishes {
  readonly publishes: readonly StatePublish[];
  leave(): void;
}

/**
 * Says for each event what the store publishes: the event itself where the store is its pubsub, else what is kept for the other one. The ways to
 * the others are held open until the transaction is over.
 */
export async function routePublishes(
  store: Binding<"state">,
  checked: readonly CheckedPublish[],
  { outbox, identity, clock }: Pick<BlockContext, "outbox" | "identity" | "clock">,
): Promise<RoutedPublishes> {
  const entered: (() => void)[] = [];
  const leave = () => {
    for (const one of entered.splice(0)) one();
  };
  try {
    const publishes: StatePublish[] = [];
    for (const { index, target, entry, event, operation } of checked) {
      const { name } = target.live.plan;
      if (name === store.live.plan.name) {
        publishes.push({ keyspace: identity.namespace, entry });
        continue;
      }
      const way = await outbox.enter(store, name);
      entered.push(way.leave);
      const message = operation.entry;
      if (message === undefined) throw new Error("an event was checked that is not there");
      publishes.push(atOperation(index, () => toKept(way.route, { entry: message, event, commitTime: clock.now() })));
    }
    return { publishes, leave };
  } catch (error) {
    leave();
    throw error;
  }
}

/** Requires a store that publishes within its transactions, and says who does if this one does not. */
export function requireOutbox({ serve, live }: Binding<"state">, registry: ComponentRegistry): void {
  if (serve.features.includes("OUTBOX")) return;
  const able = registry.bindings("state").filter((other) => other.serve.features.includes("OUTBOX"));
  const names = able.map((other) => `"${other.live.plan.name}" (${other.live.plan.definition.type})`);
  const { name, definition } = live.plan;
  const who =
    names.length > 0
      ? `${names.join(" and ")} can`
      : "no store of this runtime can; docs/components.md tells which types can";
  const message = `component "${name}" (${definition.type}) does not serve feature OUTBOX of block "state": it cannot publish within a transaction; ${who}`;
  throw new ComponentError("FEATURE_NOT_SERVED", message, {
    metadata: { component: name, block: "state", feature: "OUTBOX" },
  });
}

/** The bytes that events add to a transaction. */
export const bytesOf = (checked: readonly { readonly entry: PubSubEntry }[]): number =>
  checked.reduce((sum, { entry }) => sum + entry.payload.byteLength, 0);

/** Does something for an operation; what goes wrong names it. */
function atOperation<T>(index: number, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof ComponentError ? withMetadata(error, { operation_index: String(index) }) : error;
  }
}

/** The store counts operations and events apart; the caller counts them together. */
export function renumber(
  error: unknown,
  indexes: readonly number[],
  checked: readonly { readonly index: number }[],
): unknown {
  if (!(error instanceof ComponentError)) return error;
  const { operation_index: operation, publish_index: publish } = error.metadata;
  const index = publish === undefined ? indexes[Number(operation)] : checked[Number(publish)]?.index;
  return index === undefined ? error : withMetadata(error, { operation_index: String(index) });
}

function withMetadata(error: ComponentError, more: Record<string, string>): ComponentError {
  const { publish_index: _, ...metadata } = error.metadata;
  const { reason, message, retryAfterMs, violations, cause } = error;
  return new ComponentError(reason, message, {
    metadata: { ...metadata, ...more },
    violations: [...violations],
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(cause !== undefined && { cause }),
  });
}

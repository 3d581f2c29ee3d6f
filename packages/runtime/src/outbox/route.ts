import { hash, randomUUID } from "node:crypto";
import {
  ComponentError,
  type GroupCall,
  type GroupSettings,
  type PubSub,
  type StatePublish,
  systemClock,
} from "@mecha/component";
import { tooLargeError } from "../blocks/pubsub/entry.js";
import { requireFeature } from "../blocks/validation.js";
import type { Binding } from "../components/registry.js";
import { type OutboxRecord, writeRecord } from "./record.js";

/**
 * The way from a store to another pubsub: a topic of the store's own pubsub, in the keyspace of the state, which no app's topic is in (theirs have a
 * namespace's, without a slash), and one group that all runtimes of the app share.
 */
export interface Route {
  readonly store: Binding<"state">;
  /** The store's own. */
  readonly pubsub: PubSub;
  /** The name of the component that the events are for. */
  readonly target: string;
  readonly call: GroupCall;
}

/** The settings of a route's group: an event is given up when its target refuses it, never for how often it was tried. */
export const routeSettings: GroupSettings = {
  filter: "",
  ordered: true,
  start: { type: "new" },
  maxAttempts: Number.MAX_SAFE_INTEGER,
  minBackoffMs: 100,
  maxBackoffMs: 5_000,
  // How long after a runtime died another one takes over what it was handing over.
  ackTimeoutMs: 10_000,
};

/** The way from a store to a pubsub that is another component. */
export function routeOf(store: Binding<"state">, target: string): Route {
  const { pubsub } = store.live.component.blocks;
  if (pubsub === undefined) {
    throw new Error(`component "${store.live.plan.name}" serves OUTBOX, but no pubsub`);
  }
  const call = { keyspace: store.keyspace, topic: `outbox.${target}`, group: "runtime/relay" };
  return { store, pubsub, target, call };
}

/** What tells routes apart: none of these names has a space. */
export const keyOf = ({ store, target }: Pick<Route, "store" | "target">): string =>
  `${store.live.plan.name} ${store.keyspace} ${target}`;

/** The event that is kept in the store. Throws TOO_LARGE if it does not fit. */
export function toKept({ pubsub, store, call, target }: Route, record: OutboxRecord): StatePublish {
  const { name } = store.live.plan;
  const { topic, orderingKey } = record.entry;
  if (orderingKey !== "") requireFeature(pubsub.features, "ORDERED", "pubsub", name);
  const payload = writeRecord(record);
  if (payload.byteLength > pubsub.maxEventBytes) {
    const what = `event "${record.event.id}", with where it is for ("${target}"), is kept by "${name}" and is`;
    throw tooLargeError(what, pubsub.maxEventBytes, payload.byteLength);
  }
  const entry = {
    topic: call.topic,
    source: "outbox",
    // Each is kept, also one that its target will take for a duplicate: what was published meanwhile is the target's to know.
    id: randomUUID(),
    payload,
    // Both may be 128 bytes long, and so may this.
    orderingKey: orderingKey === "" ? "" : hash("sha256", `${topic} ${orderingKey}`, "base64url"),
    delayMs: 0,
    ttlMs: undefined,
    metadata: {},
  };
  return { keyspace: call.keyspace, entry };
}

/** Makes the route's group, if it is not there: from then on what is kept waits for it. */
export async function openRoute({ pubsub, call }: Route): Promise<void> {
  const defaults = { ...routeSettings, ordered: pubsub.features.includes("ORDERED") };
  await pubsub.openGroup({ ...call, settings: undefined, defaults, update: false });
}

/** Whether the route was ever used, by whatever runtime of the app. */
export async function isOpen({ pubsub, call }: Route): Promise<boolean> {
  return (await soon(async () => pubsub.settingsOf(call))) !== undefined;
}

/** How many events wait to be handed over. */
export function backlogOf({ pubsub, call }: Route): Promise<number> {
  return soon(async () => pubsub.backlog(call));
}

/** How long a store may take to say what it keeps, in ms: who asks (`mecha info`, a change of the resources) must hear of those that do not answer. */
const patienceMs = 1_000;

async function soon<T>(ask: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const cancel = systemClock.after(patienceMs, () => late.reject(new Error(`no answer within ${patienceMs} ms`)));
  try {
    return await Promise.race([ask(), late.promise]);
  } finally {
    cancel();
  }
}

/** What a transaction gets while the way is being removed. */
export function routeLeaves({ store, target }: Route): ComponentError {
  const component = store.live.plan.name;
  const message = `component "${component}" or "${target}" is being replaced or removed; nothing was done, try again`;
  return new ComponentError("COMPONENT_REPLACED", message, { metadata: { component }, retryAfterMs: 200 });
}

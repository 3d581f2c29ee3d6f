import { createHash } from "node:crypto";
import type { StateOperation, StateRequestId } from "@mecha/component";
import { toMs } from "../time.js";
import type { AskedPublish } from "./publishes.js";

/** What makes a write safe to send again: its id, and a digest of what it asks for. Undefined without an id. */
export function toRequestId(
  id: string,
  method: "Set" | "Delete" | "Transact",
  operations: readonly StateOperation[],
  publishes: readonly AskedPublish[] = [],
): StateRequestId | undefined {
  if (id === "") return undefined;
  const digest = createHash("sha256").update(method);
  for (const operation of operations) {
    const { type, key, precondition } = operation;
    const set = operation.type === "set" ? operation : undefined;
    digest.update(JSON.stringify([type, key, precondition, set?.contentType, set?.ttlMs, set?.value.byteLength]));
    if (set !== undefined) digest.update(set.value);
  }
  for (const { operation } of publishes) {
    const { entry } = operation;
    const event = entry?.event;
    const { time } = event ?? {};
    digest.update(
      JSON.stringify([
        operation.pubsub,
        [entry?.topic, entry?.orderingKey, entry?.delay && toMs(entry.delay), entry?.ttl && toMs(entry.ttl)],
        inOrder(entry?.metadata),
        [event?.id, event?.source, event?.type, event?.subject, time && [String(time.seconds), time.nanos]],
        [event?.dataContentType, event?.dataSchema, event?.data.byteLength],
        inOrder(event?.extensions),
      ]),
    );
    if (event !== undefined) digest.update(event.data);
  }
  return { id, fingerprint: digest.digest("base64url") };
}

/** A map's entries by name: their order on the wire says nothing, and clients of some languages send another each time. */
function inOrder(map: Readonly<Record<string, string>> = {}): [string, string][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}

import { createHash } from "node:crypto";
import type { StateOperation, StateRequestId } from "@mecha/component";

/** What makes a write safe to send again: its id, and a digest of what it asks for. Undefined without an id. */
export function toRequestId(
  id: string,
  method: "Set" | "Delete" | "Transact",
  operations: readonly StateOperation[],
): StateRequestId | undefined {
  if (id === "") return undefined;
  const digest = createHash("sha256").update(method);
  for (const operation of operations) {
    const { type, key, precondition } = operation;
    const set = operation.type === "set" ? operation : undefined;
    digest.update(JSON.stringify([type, key, precondition, set?.contentType, set?.ttlMs, set?.value.byteLength]));
    if (set !== undefined) digest.update(set.value);
  }
  return { id, fingerprint: digest.digest("base64url") };
}

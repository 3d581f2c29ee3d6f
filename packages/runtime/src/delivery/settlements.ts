import { create } from "@bufbuild/protobuf";
import {
  type DeliveryResult,
  DeliveryResultSchema,
  Disposition as DispositionCode,
  type Prolong,
  type Settle,
  SettleOutcome,
} from "@mecha/api/pubsub";
import { within } from "../blocks/bounds.js";
import { badRequest, checkBytes, Violations } from "../blocks/validation.js";
import type { Disposition } from "./policy.js";
import { dayMs, hourMs, secondMs } from "./terms.js";

/** What an app says of deliveries. */
export function toDisposition(settle: Settle, path: string, violations: Violations): Disposition {
  checkDeliveryIds(settle.deliveryIds, path, violations);
  checkBytes(`${path}error`, settle.error, 1024, violations);
  const afterMs = within(settle.retryAfter, [0, dayMs], undefined, `${path}retry_after`, violations);
  switch (settle.disposition) {
    case DispositionCode.ACK:
      return { type: "ack" };
    case DispositionCode.RETRY:
      return { type: "retry", afterMs, error: settle.error };
    case DispositionCode.REJECT:
      return { type: "reject", error: settle.error };
    default:
      violations.add(`${path}disposition`, "is missing; say DISPOSITION_ACK, DISPOSITION_RETRY or DISPOSITION_REJECT");
      return { type: "ack" };
  }
}

/** How long an extension is for; undefined: the ack timeout in effect. */
export function toExtension(
  { deliveryIds, ackTimeout }: Pick<Prolong, "deliveryIds" | "ackTimeout">,
  path: string,
  violations: Violations,
): number | undefined {
  checkDeliveryIds(deliveryIds, path, violations);
  return within(ackTimeout, [secondMs, hourMs], undefined, `${path}ack_timeout`, violations);
}

function checkDeliveryIds(ids: readonly string[], path: string, violations: Violations): void {
  if (ids.length < 1 || ids.length > 1000) {
    violations.add(`${path}delivery_ids`, `has ${ids.length} ids; 1 to 1000 are allowed`);
  }
}

/** Per id whether it counted. */
export function toResults(ids: readonly string[], counted: readonly boolean[]): DeliveryResult[] {
  return ids.map((deliveryId, index) => {
    const result = create(DeliveryResultSchema);
    result.deliveryId = deliveryId;
    result.outcome = counted[index] === true ? SettleOutcome.DONE : SettleOutcome.STALE;
    return result;
  });
}

/** What an Ack asks for. */
export function readSettle(settle: Settle | undefined): { readonly ids: string[]; readonly disposition: Disposition } {
  if (settle === undefined) throw badRequest([{ field: "settle", description: "is missing" }]);
  const violations = new Violations();
  const disposition = toDisposition(settle, "settle.", violations);
  violations.throwIfAny();
  return { ids: settle.deliveryIds, disposition };
}

/** What an Extend asks for. */
export function readProlong(prolong: Prolong | undefined): {
  readonly ids: string[];
  readonly timeoutMs: number | undefined;
} {
  if (prolong === undefined) throw badRequest([{ field: "prolong", description: "is missing" }]);
  const violations = new Violations();
  const timeoutMs = toExtension(prolong, "prolong.", violations);
  violations.throwIfAny();
  return { ids: prolong.deliveryIds, timeoutMs };
}

import type { DeliveryPolicy } from "../../delivery/policy.js";

/**
 * What apps settle deliveries by: the retry policy that they were taken under, the attempt and the component's handle of it. A binding keeps no
 * settings, so the id carries them: any runtime can settle it. What is unguessable in it is the component's handle.
 */
export interface DeliveryId {
  readonly policy: DeliveryPolicy;
  readonly attempt: number;
  readonly handle: string;
}

/** Makes the ids of deliveries under one policy. */
export function deliveryIdsOf(policy: DeliveryPolicy): (attempt: number, handle: string) => string {
  const { maxAttempts, minBackoffMs, maxBackoffMs, ackTimeoutMs } = policy;
  const prefix = [maxAttempts, minBackoffMs, maxBackoffMs, ackTimeoutMs].join("-");
  return (attempt, handle) => `${prefix}~${attempt}~${handle}`;
}

const format = /^(\d{1,4})-(\d{1,8})-(\d{1,8})-(\d{1,7})~([1-9]\d{0,8})~([A-Za-z0-9._-]{1,512})$/;

/** Reads an id; undefined if no runtime made it. */
export function parseDeliveryId(id: string): DeliveryId | undefined {
  const parts = format.exec(id);
  if (parts === null) return undefined;
  const [maxAttempts = 0, minBackoffMs = 0, maxBackoffMs = 0, ackTimeoutMs = 0, attempt = 0] = parts
    .slice(1, 6)
    .map(Number);
  return { policy: { maxAttempts, minBackoffMs, maxBackoffMs, ackTimeoutMs }, attempt, handle: parts[6] ?? "" };
}

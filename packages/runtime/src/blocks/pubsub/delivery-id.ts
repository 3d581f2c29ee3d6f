/**
 * What apps settle deliveries by: the group, the attempt and the component's handle of it. It holds everything that a settlement needs, so
 * that any runtime over the same component can take it; what is unguessable in it is the component's handle.
 */
export interface DeliveryId {
  readonly topic: string;
  /** With its app: "shop/mail". */
  readonly group: string;
  readonly attempt: number;
  readonly handle: string;
}

/** Makes the ids of one group's deliveries. */
export function deliveryIdsOf(topic: string, group: string): (attempt: number, handle: string) => string {
  const prefix = Buffer.from(`${topic} ${group}`).toString("base64url");
  return (attempt, handle) => `${prefix}~${attempt}~${handle}`;
}

const format = /^([A-Za-z0-9_-]+)~([1-9][0-9]{0,8})~([A-Za-z0-9._-]{1,512})$/;

/** Reads an id; undefined if no runtime made it. */
export function parseDeliveryId(id: string): DeliveryId | undefined {
  const [, prefix = "", attempt = "", handle = ""] = format.exec(id) ?? [];
  const [topic = "", group = "", ...rest] = Buffer.from(prefix, "base64url").toString().split(" ");
  if (topic === "" || group === "" || rest.length > 0) return undefined;
  return { topic, group, attempt: Number(attempt), handle };
}

import { hash, randomInt } from "node:crypto";
import { ComponentError, type PubSubEntry } from "@mecha/component";
import type { Argument } from "../command.js";

/** From what the marks of a command's entries are counted: those of two commands are hardly ever the same. */
export const newMark = (): string => String(randomInt(2 ** 32));

/** What the publish script gets for one entry. */
export function pushEntry(args: Argument[], entry: PubSubEntry): void {
  const { source, id, payload, orderingKey, delayMs, ttlMs } = entry;
  // Half of a SHA-256: as long as no two are alike it may stand for a name of any length.
  args.push(hash("sha256", `${source}\n${id}`, "buffer").subarray(0, 16));
  args.push(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength), orderingKey);
  args.push(delayMs > 0 ? String(delayMs) : "", ttlMs === undefined ? "" : String(ttlMs));
}

/** Why an entry cannot be published, if it cannot. */
export function faultOf({ metadata }: PubSubEntry): ComponentError | undefined {
  const [key] = Object.keys(metadata);
  if (key === undefined) return undefined;
  const message = `the redis component knows no metadata; remove "${key}"`;
  return new ComponentError("BAD_REQUEST", message, { metadata: { key } });
}

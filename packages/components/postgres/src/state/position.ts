/**
 * A PostgreSQL snapshot as text, `xmin:xmax:xip,xip…`: every transaction before xmax has ended, save those that are listed. Transaction
 * ids and sequences are given out in another order than commits become visible in, so that no number says "seen up to here"; a snapshot does.
 */
export interface Snapshot {
  readonly text: string;
  /** When it was taken, in ms since the Unix epoch, by the server's clock. */
  readonly at: number;
}

/** Where a watch stands. */
export interface Position {
  /** What was visible in it has been reported… */
  readonly base: Snapshot;
  /** …but only keys up to this one, while what is there is still being reported ("" before any is). */
  readonly scannedTo?: string;
  /** …and of what became visible from `base` to `snapshot`, the rows up to this one, in the order of transaction and key. */
  readonly within?: { readonly snapshot: Snapshot; readonly xid: string; readonly key: string };
}

/** The first transaction that a snapshot knows nothing of. */
export const xmaxOf = ({ text }: Snapshot): string => text.split(":", 2)[1] ?? "0";

/** The transactions before xmax that a snapshot does not see, as PostgreSQL's array of them. */
export const unseenBy = ({ text }: Snapshot): string => `{${text.slice(text.lastIndexOf(":") + 1)}}`;

/** A position as the text of a resume token. `epoch` says by which server's transactions it counts. */
export function encodePosition(epoch: string, { base, scannedTo, within }: Position): string {
  const parts: (string | number)[] = [epoch, base.text, base.at];
  if (scannedTo !== undefined) parts.push("scan", scannedTo);
  if (within !== undefined) parts.push("changes", within.snapshot.text, within.snapshot.at, within.xid, within.key);
  return Buffer.from(JSON.stringify(parts)).toString("base64url");
}

/** Undefined if the text is no position, or one of another epoch: nothing can be said then of what happened since. */
export function decodePosition(epoch: string, text: string): Position | undefined {
  const [itsEpoch, baseText, baseAt, kind, first, at, xid, key] = partsOf(text);
  if (itsEpoch !== epoch) return undefined;
  const base = toSnapshot(baseText, baseAt);
  if (base === undefined || kind === undefined) return base && { base };
  if (kind === "scan" && typeof first === "string") return { base, scannedTo: first };
  const snapshot = toSnapshot(first, at);
  if (snapshot === undefined || typeof xid !== "string" || !/^\d{1,20}$/.test(xid) || typeof key !== "string")
    return undefined;
  return { base, within: { snapshot, xid, key } };
}

function partsOf(text: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

function toSnapshot(text: unknown, at: unknown): Snapshot | undefined {
  if (typeof text !== "string" || typeof at !== "number" || !/^\d{1,20}:\d{1,20}:(\d{1,20}(,\d{1,20})*)?$/.test(text))
    return undefined;
  return { text, at };
}

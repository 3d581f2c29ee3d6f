import { randomBytes } from "node:crypto";

/** A lease as a handle names it. */
export interface LeaseName {
  /** The event's, in the log. */
  readonly id: string;
  /** Of the claim that leased it. */
  readonly token: string;
  /** Its ordering key, if the group is ordered: so nobody need remember it until the lease is settled. */
  readonly key: string;
}

/** A token that nobody guesses: 128 bits. */
export const newToken = (): string => randomBytes(16).toString("base64url");

export function toHandle({ id, token, key }: LeaseName): string {
  return key === "" ? `${id}.${token}` : `${id}.${token}.${Buffer.from(key).toString("base64url")}`;
}

const format = /^([0-9]{1,15}-[0-9]{1,15})\.([A-Za-z0-9_-]{22})(?:\.([A-Za-z0-9_-]+))?$/;

/** Reads a handle; undefined if it is none. */
export function parseHandle(handle: string): LeaseName | undefined {
  const [, id, token, key = ""] = format.exec(handle) ?? [];
  if (id === undefined || token === undefined) return undefined;
  return { id, token, key: Buffer.from(key, "base64url").toString() };
}

const sequenceDigits = 10;

/** Padded, so that ids of dead letters sort as they are: by age. */
export function toDeadLetterId(id: string): string {
  const [ms = "", sequence = ""] = id.split("-");
  return `${ms}-${sequence.padStart(sequenceDigits, "0")}`;
}

/** Reads the id of a dead letter as the stream has it; undefined if it is none. */
export function parseDeadLetterId(id: string): string | undefined {
  const [, ms, sequence] = /^([0-9]{13,15})-([0-9]{10})$/.exec(id) ?? [];
  return ms === undefined ? undefined : `${ms}-${Number(sequence)}`;
}

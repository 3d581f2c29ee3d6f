import { randomBytes } from "node:crypto";

/** A lease as a handle names it: the event's id in the log, and the token of the claim that leased it. */
export interface LeaseName {
  readonly id: string;
  readonly token: string;
}

/** A token that nobody guesses: 128 bits. */
export const newToken = (): string => randomBytes(16).toString("base64url");

export const toHandle = ({ id, token }: LeaseName): string => `${id}.${token}`;

const format = /^([0-9]{1,15}-[0-9]{1,15})\.([A-Za-z0-9_-]{22})$/;

/** Reads a handle; undefined if it is none. */
export function parseHandle(handle: string): LeaseName | undefined {
  const [, id, token] = format.exec(handle) ?? [];
  return id === undefined || token === undefined ? undefined : { id, token };
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

/** A lease as a handle names it. */
export interface LeaseName {
  /** A bigint, as text. */
  readonly seq: string;
  /** The claim's secret: 122 bits at random, which all leases of one claim share; they are all one consumer's. */
  readonly token: string;
}

const format = /^([0-9]{1,18})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export const toHandle = ({ seq, token }: LeaseName): string => `${seq}.${token}`;

/** Reads a handle; undefined if it is none. */
export function parseHandle(handle: string): LeaseName | undefined {
  const [, seq, token] = format.exec(handle) ?? [];
  return seq === undefined || token === undefined ? undefined : { seq, token };
}

const deadLetterIdDigits = 18;

/** Padded, so that ids sort as they count. */
export const toDeadLetterId = (id: string): string => id.padStart(deadLetterIdDigits, "0");

/** Reads the id of a dead letter, a bigint as text; undefined if it is none. */
export const parseDeadLetterId = (id: string): string | undefined => (/^[0-9]{18}$/.test(id) ? id : undefined);

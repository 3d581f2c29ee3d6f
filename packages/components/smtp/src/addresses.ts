import addressparser from "nodemailer/lib/addressparser";

/** Somebody who gets or sends mail. */
export interface Mailbox {
  readonly name: string;
  readonly address: string;
}

/** One address: no white space, no brackets, no list. What else is wrong with it its server says. */
const address = /^[^\s<>,;:"()[\]\\@]{1,64}@[^\s<>,;:"()[\]\\@]{1,255}$/;

/** The addresses in a list such as `Anna <anna@example.com>, bob@example.com`; undefined if something in it is none. */
export function parseAddresses(list: string): Mailbox[] | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line break in an address would begin another header.
  if (/[\u0000-\u001f\u007f]/.test(list)) return undefined;
  const parsed = addressparser(list);
  const mailboxes = parsed.flatMap((one) =>
    "address" in one && one.address ? [{ name: one.name ?? "", address: one.address }] : [],
  );
  const isWhole = mailboxes.length === parsed.length && mailboxes.every((mailbox) => address.test(mailbox.address));
  return isWhole && mailboxes.length > 0 ? mailboxes : undefined;
}

/** Whether a text is one address. */
export const isAddress = (text: string) => parseAddresses(text)?.length === 1;

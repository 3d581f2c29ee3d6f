import { randomUUID } from "node:crypto";
import { ComponentError, type InvokeCall, z } from "@mecha/component";
import MailComposer from "nodemailer/lib/mail-composer";
import { type Mailbox, parseAddresses } from "./addresses.js";
import type { SmtpConfig } from "./config.js";

/** A mail, ready to be handed to a server. */
export interface Mail {
  readonly messageId: string;
  readonly from: string;
  /** Everybody who gets it, once. */
  readonly recipients: string[];
  /** Headers and body. */
  readonly content: Buffer;
}

const maxSubjectLength = 998;

const base64 = z.base64();

/** What data of type application/json says. */
const parts = z.strictObject({
  text: z.string().optional(),
  html: z.string().optional(),
  attachments: z
    .array(
      z.strictObject({
        filename: z
          .string()
          .min(1)
          .max(255)
          .regex(/^[^\r\n\0]*$/),
        contentType: z
          .string()
          .max(255)
          .regex(/^[\w.+-]+\/[\w.+-]+(;[\t\x20-\x7e]*)?$/)
          .default("application/octet-stream"),
        content: base64,
      }),
    )
    .max(50)
    .default([]),
});

/** The mail that a call asks for; throws BAD_REQUEST for what would be none, or another one than it seems. */
export async function toMail(
  { from, maxRecipients }: SmtpConfig,
  call: Pick<InvokeCall, "metadata" | "data" | "contentType">,
): Promise<Mail> {
  const { metadata } = call;
  const [sender] = toMailboxes("from", from);
  const to = toMailboxes("to", metadata.to);
  const cc = toMailboxes("cc", metadata.cc);
  const bcc = toMailboxes("bcc", metadata.bcc);
  const replyTo = toMailboxes("replyTo", metadata.replyTo);
  const recipients = [...new Set([...to, ...cc, ...bcc].map(({ address }) => address))];
  if (recipients.length > maxRecipients)
    throw badRequest("to", `and copies are ${recipients.length} recipients; at most ${maxRecipients} are allowed`);
  const subject = oneLine("subject", metadata.subject ?? "");
  const messageId = metadata.messageId ?? `<${randomUUID()}@${sender?.address.split("@")[1] ?? "localhost"}>`;
  if (!/^<[!-;=?-~]{1,250}@[!-;=?-~]{1,250}>$/.test(messageId))
    throw badRequest("messageId", 'must be "<…@…>", without spaces');
  const composer = new MailComposer({
    from: sender as Mailbox,
    to,
    cc,
    replyTo,
    subject,
    messageId,
    ...toContent(call),
    // What a mail holds is in the call, and nowhere else.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return { messageId, from: sender?.address ?? "", recipients, content: await composer.compile().build() };
}

function toContent({ data, contentType }: Pick<InvokeCall, "data" | "contentType">) {
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8");
  const [type = ""] = contentType.toLowerCase().split(";", 1);
  switch (type.trim()) {
    case "":
    case "text/plain":
      return { text };
    case "text/html":
      return { html: text };
    case "application/json": {
      const { text: plain, html, attachments } = parseParts(text);
      return {
        ...(plain !== undefined && { text: plain }),
        ...(html !== undefined && { html }),
        attachments: attachments.map(({ filename, contentType, content }) => {
          return { filename, contentType, content: Buffer.from(content, "base64") };
        }),
      };
    }
    default:
      throw badRequest(
        "content_type",
        `is "${contentType.slice(0, 100)}"; send text/plain, text/html, or application/json with parts`,
        "content_type",
      );
  }
}

function parseParts(text: string): z.infer<typeof parts> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest("data", "is no JSON, as its content type says", "data");
  }
  const parsed = parts.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw badRequest("data", `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is malformed"}`, "data");
}

function toMailboxes(name: string, list: string | undefined): Mailbox[] {
  if (list === undefined) return [];
  const mailboxes = parseAddresses(list);
  if (mailboxes === undefined)
    throw badRequest(name, `is "${list.slice(0, 100)}"; it must be addresses with commas between them, in one line`);
  return mailboxes;
}

/** A line break would end the header, and what follows would be another. */
function oneLine(name: string, value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no header has one.
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value))
    throw badRequest(name, "must be one line, without control characters");
  if (value.length > maxSubjectLength) throw badRequest(name, `is longer than ${maxSubjectLength} characters`);
  return value;
}

function badRequest(name: string, description: string, field = `metadata["${name}"]`): ComponentError {
  return new ComponentError("BAD_REQUEST", `${name} ${description}`, { violations: [{ field, description }] });
}

import { z } from "@mecha/component";
import { isAddress } from "./addresses.js";

const noLineBreak = /^[^\r\n\0]*$/;

/** Every option says its purpose, unit, default and limit: the documentation is made of it. */
export const config = z
  .strictObject({
    host: z.string().min(1).describe("The server: `smtp.example.com`."),
    port: z
      .int()
      .min(1)
      .max(65_535)
      .optional()
      .describe("Its port. Default: 587, or 465 with `tls: implicit`, or 25 with `tls: none`."),
    tls: z
      .enum(["starttls", "implicit", "none"])
      .default("starttls")
      .describe(
        "How the connection is encrypted: `starttls` after it is made (and never without), `implicit` from its first byte, or `none`, for a server on this machine only.",
      ),
    ca: z
      .string()
      .optional()
      .describe("Certificates (PEM) of the authorities to trust instead of the well-known ones."),
    username: z.string().min(1).optional().describe("Who signs in. Default: nobody does."),
    password: z
      .string()
      .min(1)
      .optional()
      .describe("The password that goes with it: `{ $secret: env/SMTP_PASSWORD }`."),
    from: z
      .string()
      .regex(noLineBreak, "must be one line")
      .refine(isAddress, 'must be an address: "shop@example.com" or "The shop <shop@example.com>"')
      .describe("Who mails are from. Calls cannot change it: another sender is another component."),
    maxRecipients: z.int().min(1).max(1000).default(50).describe("The most recipients of one mail, copies counted."),
    maxConnections: z
      .int()
      .min(1)
      .max(100)
      .default(5)
      .describe("Mails that are under way at a time; further ones wait."),
    timeoutMs: z
      .int()
      .min(100)
      .max(600_000)
      .default(30_000)
      .describe("How long a mail may take, from the connection to the server's word that it has it, in ms."),
  })
  .refine(({ username, password }) => (username === undefined) === (password === undefined), {
    path: ["password"],
    message: "username and password go together; leave both out, or neither",
  });

export type SmtpConfig = z.infer<typeof config>;

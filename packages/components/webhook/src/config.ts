import { z } from "@mecha/component";

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, "is no header's name")
  .transform((name) => name.toLowerCase());

/** Every option says its purpose, unit, default and limit: the documentation is made of it. */
export const config = z.strictObject({
  secrets: z
    .array(z.string().min(8))
    .min(1)
    .max(10)
    .describe(
      "What senders sign with, at least 8 characters each: `[{ $secret: env/WEBHOOK_SECRET }]`. Several while one is changed for another.",
    ),
  scheme: z
    .enum(["hmac", "stripe", "standard-webhooks"])
    .default("hmac")
    .describe(
      "How senders sign, always by HMAC-SHA256. `hmac`: the body, in `header` (GitHub, Shopify). `stripe`: timestamp and body, in `header` as `t=…,v1=…`. `standard-webhooks`: id, timestamp and body, as standardwebhooks.com says.",
    ),
  header: headerName
    .optional()
    .describe(
      "The header with the signature. Default: `x-hub-signature-256`, or `stripe-signature` with `scheme: stripe`. `standard-webhooks` has its own.",
    ),
  prefix: z
    .string()
    .max(20)
    .default("sha256=")
    .describe("With `scheme: hmac`: what stands before the signature in its header."),
  encoding: z.enum(["hex", "base64"]).default("hex").describe("With `scheme: hmac`: how the signature is written."),
  idHeader: headerName
    .optional()
    .describe(
      "With `scheme: hmac`: the header with the event's id, such as `x-github-delivery`. Default: none; the id is a digest of the body.",
    ),
  toleranceMs: z
    .int()
    .min(1_000)
    .max(3_600_000)
    .default(300_000)
    .describe(
      "How old, or how far ahead, a signed timestamp may be, in ms. For as long, a request that was done before is answered as done and not handed to the app again.",
    ),
  maxBodyBytes: z
    .int()
    .min(1)
    .max(4 * 1024 * 1024)
    .default(1024 * 1024)
    .describe("The largest body, in bytes; a larger one is answered 413."),
  forwardHeaders: z
    .array(headerName)
    .max(32)
    .default([])
    .describe("Headers that the event carries as metadata `header.<name>`: `[x-github-event]`."),
  timeoutMs: z
    .int()
    .min(100)
    .max(120_000)
    .default(10_000)
    .describe(
      "How long the app has to ack, in ms; then the sender is answered 503 and sends again. Less than what the sender waits.",
    ),
  maxWaiting: z
    .int()
    .min(1)
    .max(100_000)
    .default(1_000)
    .describe("Requests that wait for the app at a time; further ones are answered 503."),
});

export type WebhookConfig = z.infer<typeof config>;

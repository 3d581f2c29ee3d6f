import { z } from "@mecha/component";
import ipaddr from "ipaddr.js";

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, "is no header's name")
  .transform((name) => name.toLowerCase());

/** What the connection is made of; a caller who sets one of these could make one request look like two. */
export const ownHeaders = [
  "host",
  "connection",
  "content-length",
  "transfer-encoding",
  "upgrade",
  "te",
  "trailer",
  "expect",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
];

const notOwn = (name: string) => !ownHeaders.includes(name);

const baseUrl = z
  .url({ protocol: /^https?$/, error: "must be an http or https URL" })
  .refine((url) => new URL(url).search === "" && new URL(url).hash === "", "must have no query and no fragment")
  .refine(
    (url) => new URL(url).username === "" && new URL(url).password === "",
    "must have no user name; set an authorization header under `headers`",
  );

/** Every option says its purpose, unit, default and limit: the documentation is made of it. */
export const config = z.strictObject({
  baseUrl: baseUrl
    .optional()
    .describe(
      "The service that is called: calls give a `path` below it, and reach nothing else. Default: none; then every call gives a whole `url`.",
    ),
  headers: z
    .record(headerName, z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, "has characters that no header carries"))
    .default({})
    .refine((headers) => Object.keys(headers).every(notOwn), `must not have ${ownHeaders.join(", ")}`)
    .describe(
      "Headers of every request, such as `authorization`. They go to the host that is called first, never to another one that it redirects to.",
    ),
  allowedHeaders: z
    .array(headerName.refine(notOwn, "belongs to the connection"))
    .default([
      "accept",
      "accept-language",
      "authorization",
      "idempotency-key",
      "if-match",
      "if-none-match",
      "range",
      "traceparent",
      "tracestate",
      "x-request-id",
    ])
    .describe(
      "The headers that calls may set, as parameter `header.<name>`. One that stands in `headers` too is the call's.",
    ),
  allowedNetworks: z
    .array(z.string().refine(ipaddr.isValidCIDR, 'must be a network such as "10.0.0.0/8"'))
    .default([])
    .describe(
      "Networks that may be reached although they are not public: `10.0.0.0/8`, `127.0.0.1/32`. By default only public addresses are: none that is private, loopback, link-local, multicast or a cloud's metadata service.",
    ),
  timeoutMs: z
    .int()
    .min(1)
    .max(600_000)
    .default(30_000)
    .describe("How long a call may take, from the first to the last byte, in ms. The caller's deadline may be sooner."),
  connectTimeoutMs: z
    .int()
    .min(1)
    .max(60_000)
    .default(5_000)
    .describe("How long finding and connecting to the host may take, in ms."),
  maxResponseBytes: z
    .int()
    .min(0)
    .max(4 * 1024 * 1024)
    .default(4 * 1024 * 1024)
    .describe("The largest response, in bytes; a larger one is TOO_LARGE."),
  maxRedirects: z
    .int()
    .min(0)
    .max(20)
    .default(0)
    .describe(
      "How many redirects are followed, each checked as the first address was. With 0 a redirect is an answer like any other.",
    ),
  maxConnections: z
    .int()
    .min(1)
    .max(1000)
    .default(64)
    .describe("Connections to one host at a time; further calls wait."),
  ca: z.string().optional().describe("Certificates (PEM) of the authorities to trust instead of the well-known ones."),
});

export type HttpConfig = z.infer<typeof config>;

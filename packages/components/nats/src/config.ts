import { type Durability, z } from "@mecha/component";

const schemes = ["nats:", "tls:"];

/** What is wrong with a server's URL, in words; undefined if nothing is. The URL may hold a password, so it is not quoted. */
function faultOf(url: string): string | undefined {
  if (!URL.canParse(url)) return 'must be a URL such as "nats://127.0.0.1:4222"';
  const { protocol, hostname } = new URL(url);
  if (!schemes.includes(protocol)) return `begins with "${protocol}"; use nats:// or tls://`;
  return hostname === "" ? "names no host" : undefined;
}

const serverUrl = z.string().superRefine((url, context) => {
  const fault = faultOf(url);
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
});

const timeoutMs = z.int().min(10).max(600_000);

/** `spec.config` of a component of type `nats`. */
export const configSchema = z
  .strictObject({
    url: serverUrl
      .default("nats://127.0.0.1:4222")
      .describe(
        "The server: `nats://host:port`, or `tls://…` for TLS. May hold a username and a password, or a token. Of a cluster, any server: the others are found by themselves.",
      ),
    servers: z
      .array(serverUrl)
      .max(100)
      .default([])
      .describe("Further servers of the same cluster, tried in turn when the one of `url` is away."),
    username: z.string().optional().describe("The user; instead of the one in `url`."),
    password: z.string().optional().describe("The password; instead of the one in `url`. Best a `$secret` reference."),
    token: z.string().optional().describe("A token, where the server takes tokens. Best a `$secret` reference."),
    credentials: z
      .string()
      .optional()
      .describe("The content of a `.creds` file (a user's JWT and its seed). Best a `$secret` reference."),
    nkeySeed: z
      .string()
      .optional()
      .describe("The seed of an nkey user (`SU…`), where the server knows users by nkeys. Best a `$secret` reference."),
    tls: z
      .strictObject({
        ca: z.string().optional().describe("The certificate authorities to trust, as PEM. Default: those of Node."),
        cert: z.string().optional().describe("The client's certificate, as PEM, where the server asks for one."),
        key: z.string().optional().describe("The key of `cert`, as PEM. Best a `$secret` reference."),
      })
      .optional()
      .describe("TLS settings for `tls://`."),
    prefix: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,32}$/, "must be 1 to 32 characters of A-Z a-z 0-9 _ -")
      .default("mecha")
      .describe(
        "What every stream, bucket and subject begins with, so that several installations can share an account.",
      ),
    replicas: z
      .union([z.literal(1), z.literal(3), z.literal(5)])
      .default(1)
      .describe(
        "On how many servers of a cluster each stream is kept: 1, 3 or 5. From 3 on it survives the loss of one.",
      ),
    monitorUrl: z
      .url({ protocol: /^https?$/, error: 'must be an http:// or https:// URL such as "http://127.0.0.1:8222"' })
      .optional()
      .describe(
        "The server's monitoring address (`http_port`), asked once at the start whether it has `sync_interval: always`: only then, or with `replicas`, is the durability more than `PROCESS`.",
      ),
    eventRetentionHours: z
      .int()
      .min(1)
      .max(87_600)
      .default(168)
      .describe(
        "How long, in hours, 1 to 87600, events are kept for groups that begin with the past (REPLAY). What a group that exists has not finished is kept longer, for as long as that takes.",
      ),
    redeliverAfterMs: z
      .int()
      .min(1_000)
      .max(600_000)
      .default(10_000)
      .describe(
        "How soon events that a runtime held are delivered elsewhere when it crashed or hangs, in ms, 1000 to 600000. It counts when a group is first opened.",
      ),
    connectTimeoutMs: timeoutMs
      .default(5000)
      .describe("How long a connection may take until it is ready, in ms, 10 to 600000."),
    requestTimeoutMs: timeoutMs
      .default(5000)
      .describe(
        "How long the server may take to answer, in ms, 10 to 600000; then the connection is given up and what waits for it fails.",
      ),
  })
  .superRefine(({ token, credentials, nkeySeed, username, password }, context) => {
    if (password !== undefined && username === undefined) {
      context.addIssue({ code: "custom", path: ["username"], message: "is missing; `password` needs it" });
    }
    const given = Object.entries({ token, credentials, nkeySeed, username }).filter(([, value]) => value !== undefined);
    if (given.length < 2) return;
    const names = given.map(([name]) => name).join(" and ");
    context.addIssue({ code: "custom", path: [], message: `${names} are set; a user logs in in one way only` });
  });

/** {@link configSchema}, with its defaults filled in. */
export type NatsConfig = z.output<typeof configSchema>;

/** Everything that the component needs to know, resolved. */
export interface Settings {
  readonly prefix: string;
  readonly replicas: 1 | 3 | 5;
  readonly eventRetentionMs: number;
  readonly redeliverAfterMs: number;
  readonly requestTimeoutMs: number;
  /** What an answered publish survives. */
  readonly durability: Durability;
}

/** What a configuration means, given what the server was seen to do. */
export function resolveSettings(config: NatsConfig, syncsAlways: boolean): Settings {
  const { prefix, replicas, eventRetentionHours, redeliverAfterMs, requestTimeoutMs } = config;
  return {
    prefix,
    replicas,
    redeliverAfterMs,
    requestTimeoutMs,
    eventRetentionMs: eventRetentionHours * 60 * 60 * 1000,
    durability: replicas > 1 ? "REPLICATED" : syncsAlways ? "HOST" : "PROCESS",
  };
}

/** An address as it may be logged: without what it logs in with. */
export function addressOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === "" ? 4222 : port}`;
}

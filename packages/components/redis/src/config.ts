import { z } from "@mecha/component";
import { refusedCommands } from "./binding/commands.js";

const schemes = ["redis:", "rediss:", "unix:"];

/** What is wrong with a server's URL, in words; undefined if nothing is. */
function faultOf(url: string): string | undefined {
  if (!URL.canParse(url)) return 'must be a URL such as "redis://127.0.0.1:6379"';
  const { protocol, hostname, pathname, searchParams } = new URL(url);
  if (!schemes.includes(protocol)) return `begins with "${protocol}"; use redis://, rediss:// (TLS) or unix:///path`;
  if (protocol === "unix:") {
    if (pathname.length < 2) return "needs the path of a socket: unix:///run/redis.sock";
    return /^\d*$/.test(searchParams.get("db") ?? "") ? undefined : "has a db that is not a number";
  }
  if (hostname === "") return "names no host";
  return /^\/?\d*$/.test(pathname) ? undefined : "has a database that is not a number: redis://host:6379/0";
}

const serverUrl = z.string().superRefine((url, context) => {
  const fault = faultOf(url);
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
});

const commandName = z
  .string()
  .regex(/^[A-Za-z_]+$/, "must be the name of a command, such as GET")
  .refine((name) => !refusedCommands.has(name.toUpperCase()), {
    error: ({ input }) =>
      `"${input}" cannot be allowed: callers share a connection, which it changes or blocks, or it administers the server`,
  });

const timeoutMs = z.int().min(10).max(600_000);

/** `spec.config` of a component of type `redis`. */
export const configSchema = z.strictObject({
  url: serverUrl
    .default("redis://127.0.0.1:6379")
    .describe(
      "The server: `redis://host:port/database`, `rediss://…` for TLS, or `unix:///path?db=0`. May hold a username and a password. " +
        "Of a Redis Cluster, any node: the others are found by themselves.",
    ),
  nodes: z
    .array(serverUrl)
    .max(100)
    .default([])
    .describe("Further nodes of the same Redis Cluster, tried in turn when the one of `url` is away at the start."),
  username: z.string().optional().describe("The ACL user; instead of the one in `url`. Default: Redis' own `default`."),
  password: z.string().optional().describe("The password; instead of the one in `url`. Best a `$secret` reference."),
  keyPrefix: z
    .string()
    .regex(/^[^{}\s]{1,64}$/, "must be 1 to 64 characters without braces and spaces")
    .default("mecha")
    .describe("What every key begins with, so that several installations can share a database."),
  tls: z
    .strictObject({
      ca: z.string().optional().describe("The certificate authorities to trust, as PEM. Default: those of Node."),
      cert: z.string().optional().describe("The client's certificate, as PEM, where the server asks for one."),
      key: z.string().optional().describe("The key of `cert`, as PEM. Best a `$secret` reference."),
      servername: z
        .string()
        .optional()
        .describe("The name that the server's certificate must bear. Default: the host."),
    })
    .optional()
    .describe("TLS settings for `rediss://`."),
  history: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(65_536)
    .describe(
      "How many deletions of each app are remembered for watches that resume; one that missed more is RESUME_EXPIRED.",
    ),
  eventRetentionHours: z
    .int()
    .min(1)
    .max(87_600)
    .default(24)
    .describe(
      "How long, in hours, events are kept in Redis' memory for groups that begin with the past (REPLAY). What a group that exists has not finished is kept longer, for as long as that takes.",
    ),
  binding: z
    .strictObject({
      url: serverUrl
        .optional()
        .describe(
          "Where and as whom commands run. Default: the component's own server and user: give one that may do no more than the apps may.",
        ),
      username: z.string().optional().describe("The ACL user of `binding.url`; instead of the one in it."),
      password: z.string().optional().describe("The password of that user. Best a `$secret` reference."),
      commands: z
        .array(commandName)
        .min(1)
        .optional()
        .describe(
          "Which commands apps may run: `[GET, SET]`. Default: all that read and write data key by key; none that administers or blocks the server, runs scripts, or lists all keys at once.",
        ),
    })
    .optional()
    .describe("Lets the apps in scope run commands, as a binding. Default: they run none."),
  connectTimeoutMs: timeoutMs
    .default(5000)
    .describe("How long a connection may take until it is ready, in ms, 10 to 600000."),
  commandTimeoutMs: timeoutMs
    .default(5000)
    .describe(
      "How long the server may say nothing while calls wait, in ms, 10 to 600000; then the connection is given up and those calls fail.",
    ),
});

/** {@link configSchema}, with its defaults filled in. */
export type RedisConfig = z.output<typeof configSchema>;

/** Where a server listens. */
export type Endpoint =
  | { readonly address: string; readonly host: string; readonly port: number; readonly tls: boolean }
  | { readonly address: string; readonly path: string };

/** How every connection of a component is made. */
export interface ConnectOptions {
  /** Where to begin; at least one. */
  readonly seeds: readonly Endpoint[];
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  readonly tls: RedisConfig["tls"];
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
}

/** The endpoint of a host and a port; IPv6 addresses in brackets or not. */
export function tcpEndpoint(host: string, port: number, tls: boolean): Endpoint {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return { address: `${bare.includes(":") ? `[${bare}]` : bare}:${port}`, host: bare, port, tls };
}

function toEndpoint(url: string): Endpoint {
  const { protocol, hostname, port, pathname } = new URL(url);
  if (protocol === "unix:") return { address: `unix:${pathname}`, path: decodeURIComponent(pathname) };
  return tcpEndpoint(hostname, port === "" ? 6379 : Number(port), protocol === "rediss:");
}

/** What a configuration means for the connections of its binding; undefined: they are those of the component. */
export function resolveBindingOptions(config: RedisConfig): ConnectOptions | undefined {
  const { binding, url, nodes, username, password } = config;
  if (binding === undefined || (binding.url ?? binding.username) === undefined) return undefined;
  const isElsewhere = binding.url !== undefined;
  return resolveConnectOptions({
    ...config,
    url: binding.url ?? url,
    nodes: isElsewhere ? [] : nodes,
    username: binding.username ?? (isElsewhere ? undefined : username),
    password: binding.password ?? (isElsewhere ? undefined : password),
  });
}

/** What a configuration means for connections: its own username and password come before those in the URL. */
export function resolveConnectOptions(config: RedisConfig): ConnectOptions {
  const { protocol, username, password, pathname, searchParams } = new URL(config.url);
  const database = protocol === "unix:" ? searchParams.get("db") : pathname.slice(1);
  return {
    seeds: [config.url, ...config.nodes].map(toEndpoint),
    username: config.username ?? (decodeURIComponent(username) || undefined),
    password: config.password ?? (decodeURIComponent(password) || undefined),
    database: Number(database || 0),
    tls: config.tls,
    connectTimeoutMs: config.connectTimeoutMs,
    commandTimeoutMs: config.commandTimeoutMs,
  };
}

import { ComponentError, z } from "@mecha/component";
import type { ClientConfig } from "pg";

/** The TLS modes of a URL that node-postgres knows how to keep; all but two of them verify the server. */
const sslModes = ["disable", "no-verify", "prefer", "require", "verify-ca", "verify-full"];

export const config = z.strictObject({
  url: z
    .string()
    .regex(/^postgres(ql)?:\/\//, "must begin with postgres://")
    .describe(
      "Where the server is: `postgres://user:password@host:5432/database`. TLS: `?sslmode=verify-full` (`require` verifies the server too), " +
        "`sslmode=no-verify` encrypts only. Keep it in a secret: `{ $secret: env/DATABASE_URL }`.",
    ),
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,47}$/, "must be lower-case letters, digits and _, at most 48")
    .refine((name) => !name.startsWith("pg_"), "names that begin with pg_ are PostgreSQL's own")
    .default("mecha")
    .describe(
      "The schema that holds everything Mecha stores; created if it is missing. Every schema is a store of its own.",
    ),
  pool: z
    .int()
    .min(1)
    .max(500)
    .default(10)
    .describe(
      "How many connections are used at the most, per runtime; one more listens for changes. Keep the sum over all runtimes below the server's `max_connections`.",
    ),
  connectTimeoutMs: z
    .int()
    .min(100)
    .max(60_000)
    .default(5_000)
    .describe("How long a connection may take to open, in ms, TLS and log-in included."),
  statementTimeoutMs: z
    .int()
    .min(100)
    .max(60_000)
    .default(10_000)
    .describe("How long one call may take on the server, in ms; a caller's own deadline may end its wait before."),
  eventRetentionHours: z
    .int()
    .min(1)
    .max(87_600)
    .default(168)
    .describe(
      "How long, in hours, events are kept for groups that begin with the past (REPLAY). What a group that exists has not finished is kept longer, for as long as that takes.",
    ),
  binding: z
    .strictObject({
      url: z
        .string()
        .regex(/^postgres(ql)?:\/\//, "must begin with postgres://")
        .optional()
        .describe(
          "Where and as whom statements run. Default: `url`, whose user reads and writes all that Mecha stores, for every app: give one that may do no more than the apps may.",
        ),
      operations: z
        .array(z.enum(["query", "exec"]))
        .min(1)
        .default(["query", "exec"])
        .describe("What apps may do: `query` reads only."),
      pool: z
        .int()
        .min(1)
        .max(100)
        .default(4)
        .describe("How many connections statements use at the most, per runtime, beside those of the component."),
    })
    .optional()
    .describe("Lets the apps in scope run SQL, as a binding. Default: they run none."),
  tls: z
    .strictObject({
      ca: z.string().optional().describe("The certificates that may have signed the server's, as PEM text."),
      cert: z.string().optional().describe("This client's certificate, as PEM text; with `key`."),
      key: z.string().optional().describe("The private key of `cert`, as PEM text; keep it in a secret."),
      serverName: z
        .string()
        .optional()
        .describe("The name in the server's certificate, when it is not the URL's host."),
    })
    .optional()
    .describe(
      "TLS with certificates that are given here; the server is always verified. Without it the URL's `sslmode` decides.",
    ),
});

export type PostgresConfig = z.infer<typeof config>;

/** What node-postgres needs to open one connection. */
export function clientOptions(config: PostgresConfig, componentName: string): ClientConfig {
  const options: ClientConfig = {
    connectionString: withVerifiedMode(config.url),
    application_name: `mecha/${componentName}`.slice(0, 63),
    connectionTimeoutMillis: config.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
  if (config.tls === undefined) return options;
  const { ca, cert, key, serverName } = config.tls;
  return {
    ...options,
    connectionString: withoutSslParameters(config.url),
    ssl: {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(serverName !== undefined && { servername: serverName }),
    },
  };
}

/** The modes between "disable" and "verify-full" verify as well; saying so spares a warning that node-postgres prints for each. */
function withVerifiedMode(url: string): string {
  return url.replace(/([?&]sslmode=)([^&]*)/, (_, parameter: string, mode: string) => {
    if (!sslModes.includes(mode)) {
      throw new ComponentError("BAD_REQUEST", `the url's sslmode is not one of ${sslModes.join(", ")}`);
    }
    return parameter + (mode === "disable" || mode === "no-verify" ? mode : "verify-full");
  });
}

/** node-postgres lets a URL's parameters replace the `ssl` option, so with `tls` there must be none. */
function withoutSslParameters(url: string): string {
  const [base = "", query = ""] = url.split("?", 2);
  const rest = query.split("&").filter((parameter) => parameter !== "" && !parameter.startsWith("ssl"));
  return rest.length === 0 ? base : `${base}?${rest.join("&")}`;
}

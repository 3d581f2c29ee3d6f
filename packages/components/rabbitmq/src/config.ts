import { z } from "@mecha/component";

const schemes = ["amqp:", "amqps:"];

/** What is wrong with a broker's URL, in words; undefined if nothing is. The URL may hold a password, so it is not quoted. */
function faultOf(url: string): string | undefined {
  if (!URL.canParse(url)) return 'must be a URL such as "amqp://127.0.0.1:5672"';
  const { protocol, hostname, search } = new URL(url);
  if (!schemes.includes(protocol)) return `begins with "${protocol}"; use amqp://, or amqps:// for TLS`;
  if (hostname === "") return "names no host";
  return search === "" ? undefined : "has parameters after a `?`; the options here say what can be set";
}

const brokerUrl = z.string().superRefine((url, context) => {
  const fault = faultOf(url);
  if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
});

const timeoutMs = z.int().min(10).max(600_000);

/** `spec.config` of a component of type `rabbitmq`. */
export const configSchema = z.strictObject({
  url: brokerUrl
    .default("amqp://127.0.0.1:5672")
    .describe(
      "The broker: `amqp://host:port/vhost`, or `amqps://…` for TLS. May hold a username and a password; without any it is RabbitMQ's `guest`.",
    ),
  servers: z
    .array(brokerUrl)
    .max(100)
    .default([])
    .describe("Further nodes of the same cluster, tried in turn when the one of `url` is away. Logins as for `url`."),
  username: z.string().min(1).optional().describe("The user; instead of the one in `url`."),
  password: z.string().optional().describe("The password; instead of the one in `url`. Best a `$secret` reference."),
  vhost: z.string().min(1).optional().describe("The virtual host; instead of the one in `url`. Default: `/`."),
  tls: z
    .strictObject({
      ca: z.string().optional().describe("The certificate authorities to trust, as PEM. Default: those of Node."),
      cert: z.string().optional().describe("The client's certificate, as PEM, where the broker asks for one."),
      key: z.string().optional().describe("The key of `cert`, as PEM. Best a `$secret` reference."),
      servername: z
        .string()
        .optional()
        .describe("The name that the broker's certificate must bear. Default: the host."),
    })
    .optional()
    .describe("TLS settings for `amqps://`."),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/, "must be 1 to 32 characters of A-Z a-z 0-9 _ -")
    .default("mecha")
    .describe("What every exchange and queue begins with, so that several installations can share a virtual host."),
  topics: z
    .array(z.string().regex(/^[A-Za-z0-9._-]{1,128}$/, "must be 1 to 128 characters of A-Z a-z 0-9 . _ -"))
    .min(1)
    .optional()
    .describe("The topics that there are: any other is refused, as a misspelt one should be. Default: any."),
  connectTimeoutMs: timeoutMs
    .default(5000)
    .describe("How long a connection may take until it is ready, in ms, 10 to 600000."),
  requestTimeoutMs: timeoutMs
    .default(10_000)
    .describe(
      "How long the broker may take to confirm an event, in ms, 10 to 600000; then it is not known whether it was published.",
    ),
});

/** {@link configSchema}, with its defaults filled in. */
export type RabbitmqConfig = z.output<typeof configSchema>;

/** An address as it may be logged: without what it logs in with. */
export function addressOf(url: string): string {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === "amqps:" ? 5671 : 5672)}`;
}

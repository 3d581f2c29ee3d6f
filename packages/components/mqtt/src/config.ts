import { z } from "@mecha/component";

/** A topic filter: "+" stands for one level, "#" for all that follow, at its end. */
const filter = z
  .string()
  .min(1)
  .max(1024)
  .refine((text) => !text.includes("\0"), "has a NUL in it")
  .refine(
    (text) =>
      text
        .split("/")
        .every(
          (level, index, levels) =>
            level === "+" || (level === "#" && index === levels.length - 1) || !/[+#]/.test(level),
        ),
    {
      message: '"+" and "#" stand for whole levels, "#" for the last: "sensors/+/temperature", "sensors/#"',
    },
  );

const subscribe = z.strictObject({
  topics: z.array(filter).min(1).max(100).describe("Topics, or filters with `+` and `#`, whose messages are events."),
  share: z
    .string()
    .regex(/^[^/+#\0]{1,100}$/, 'must be a name without "/", "+" and "#"')
    .optional()
    .describe(
      "A name under which several clients share the messages: each goes to one of them. What replicas of an app want. Default: this client gets all of them.",
    ),
  sessionExpiryMs: z
    .int()
    .min(0)
    .max(4_294_967_294_000)
    .default(7 * 24 * 60 * 60 * 1000)
    .describe("How long the broker keeps messages for this client while it is away, in ms, rounded up to seconds."),
});

/** Every option says its purpose, unit, default and limit: the documentation is made of it. */
export const config = z
  .strictObject({
    url: z
      .url({ protocol: /^(mqtt|mqtts|ws|wss)$/, error: "must be an mqtt, mqtts, ws or wss URL" })
      .describe("The broker, which must speak MQTT 5: `mqtts://broker.example.com`."),
    clientId: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,100}$/, "must be 1 to 100 of A-Z, a-z, 0-9, '.', '_' and '-'")
      .optional()
      .describe(
        "What the broker keeps this client's messages under: the same after a restart, and no other client's, other replicas included. Required with `subscribe`.",
      ),
    username: z.string().min(1).optional().describe("Who signs in. Default: nobody does."),
    password: z
      .string()
      .min(1)
      .optional()
      .describe("The password that goes with it: `{ $secret: env/MQTT_PASSWORD }`."),
    ca: z
      .string()
      .optional()
      .describe("Certificates (PEM) of the authorities to trust instead of the well-known ones."),
    subscribe: subscribe.optional().describe("Makes messages events. Default: there are none."),
    maxInFlight: z
      .int()
      .min(1)
      .max(65_535)
      .default(100)
      .describe("Messages that the app may have at a time; further ones wait at the broker."),
    keepAliveMs: z
      .int()
      .min(1_000)
      .max(3_600_000)
      .default(30_000)
      .describe("How soon a connection that says nothing is asked whether it is there, in ms, rounded up to seconds."),
    connectTimeoutMs: z
      .int()
      .min(100)
      .max(60_000)
      .default(10_000)
      .describe("How long connecting may take, in ms. A connection that is lost is made again."),
  })
  .refine(({ subscribe, clientId }) => subscribe === undefined || clientId !== undefined, {
    path: ["clientId"],
    message: "is needed with subscribe: the broker keeps messages under it while this client is away",
  });

export type MqttConfig = z.infer<typeof config>;

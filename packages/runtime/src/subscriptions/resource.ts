import { pubsubLimits, z } from "@mecha/component";
import { maxFilterBytes } from "../blocks/pubsub/validate.js";
import { duration } from "../config/duration.js";
import { dnsLabel, resourceSchema } from "../config/resource.js";
import { policyLimits } from "../delivery/terms.js";

const { maxNameLength } = pubsubLimits;

const name = (what: string) =>
  z
    .string()
    .regex(
      new RegExp(`^[A-Za-z0-9._-]{1,${maxNameLength}}$`),
      `must be 1 to ${maxNameLength} characters of [A-Za-z0-9._-]`,
    )
    .describe(what);

const path = (what: string) =>
  z
    .string()
    .regex(/^\/[\x21\x22\x24-\x7e]*$/, 'must be a path of the app, beginning with "/", without spaces or "#"')
    .describe(what);

const expression = (what: string) =>
  z.string().min(1).max(maxFilterBytes).describe(`${what} A CEL expression over \`event\` and \`data\`.`);

const start = z
  .string()
  .refine(
    (text) => text === "new" || text === "earliest" || z.iso.datetime({ offset: true }).safeParse(text).success,
    'must be "new", "earliest" or a time: "2026-11-21T10:00:00Z"',
  )
  .optional()
  .describe(
    "Where a new group begins: with what is published from now on (new), with the oldest event there is (earliest) or with a time (both need REPLAY). Default: new. Never changes.",
  );

const spec = z.strictObject({
  pubsub: z.string().min(1).optional().describe("The component that the events come from. Default: the default one."),
  topic: name("The topic. Either this or `binding`.").optional(),
  binding: z
    .string()
    .min(1)
    .optional()
    .describe("The component whose input events are posted, in place of those of a topic: a cron, a webhook, a queue."),
  group: name("Whose events: consumers of one group share them. Default: the app id.").optional(),
  filter: expression("Which events the group wants; the others are skipped. Default: all.").optional(),
  rules: z
    .array(
      z.strictObject({
        match: expression("Which events go to `path`."),
        path: path("Where to."),
      }),
    )
    .min(1)
    .optional()
    .describe(
      "Which path of the app an event is posted to: that of the first rule that matches. Default: `path` takes all.",
    ),
  path: path("The path for what no rule matches.").optional(),
  noMatch: z
    .enum(["reject", "ack"])
    .optional()
    .describe(
      "What becomes of an event that no rule matches, where there is no `path`: a dead letter (reject, the default), or nothing (ack). It is counted either way.",
    ),
  format: z
    .enum(["binary", "structured", "batched"])
    .default("binary")
    .describe(
      "How CloudEvents are written: attributes as headers and the data as the body (binary), one JSON object (structured), or a JSON array of several (batched).",
    ),
  batch: z
    .strictObject({
      maxEvents: z.int().min(1).max(1_000).default(100).describe("Events in a request at the most."),
      maxBytes: z
        .int()
        .min(1_024)
        .max(16 * 1024 * 1024)
        .default(1024 * 1024)
        .describe("Bytes of their data in a request at the most. One event is always allowed."),
      maxWait: duration(
        "How long a request waits to be filled. Default: not at all; it takes what is there.",
        [0, 60_000],
      ).default(0),
    })
    .optional()
    .describe("With format batched: how large a request may become."),
  retry: z
    .strictObject({
      maxAttempts: z
        .int()
        .min(1)
        .max(policyLimits.maxAttempts[1])
        .optional()
        .describe("Deliveries until an event becomes a dead letter. Default: 10."),
      minBackoff: duration(
        "The wait before the second attempt; it doubles with each further one, with jitter. Default: 1s.",
        policyLimits.minBackoffMs,
      ).optional(),
      maxBackoff: duration("The longest wait. Default: 5m.", policyLimits.maxBackoffMs).optional(),
    })
    .optional()
    .describe("When a delivery that failed is tried again."),
  ackTimeout: duration(
    "How long the app has to answer, before the delivery counts as failed. Default: 30s.",
    policyLimits.ackTimeoutMs,
  ).optional(),
  ordered: z
    .boolean()
    .optional()
    .describe(
      "Whether events of one ordering key come in order, one at a time (needs ORDERED). Default false. Never changes.",
    ),
  start,
  concurrency: z
    .int()
    .min(1)
    .max(1_000)
    .default(16)
    .describe("Requests that may be with the app at a time, for each runtime."),
  scopes: z
    .array(dnsLabel("An app id."))
    .optional()
    .describe("The app ids whose runtimes deliver it. Default: every app."),
});

/** `kind: Subscription`: events that the runtime posts to the app. */
export const subscriptionResource = resourceSchema("Subscription", {
  name: "What logs and `mecha info` call it: a DNS label, unique among the subscriptions.",
  description: "A subscription: events of a topic or of a binding, posted to the app by HTTP as CloudEvents.",
  spec,
});

/** What a `kind: Subscription` document says. */
export type SubscriptionResource = z.output<typeof subscriptionResource>;
export type SubscriptionSpec = SubscriptionResource["spec"];

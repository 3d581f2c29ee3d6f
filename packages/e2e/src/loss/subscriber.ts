// A program of the harness: consumes for some groups until its standard input ends.
import { createPubSubClient } from "@mecha/pubsub";
import { type SubscriberOptions, tell } from "./protocol.ts";

const { endpoint, topic, groups }: SubscriberOptions = JSON.parse(process.argv[2] ?? "");
const pubsub = createPubSubClient({ endpoint });

const subscriptions = groups.map((group) =>
  pubsub.subscribe<{ number: number }>(
    topic,
    ({ source, id, orderingKey, data }) => tell(["got", group, source, id, orderingKey, data.number]),
    { group, reconnectTimeoutMs: Number.POSITIVE_INFINITY },
  ),
);
for (const { closed } of subscriptions) {
  closed.catch((error: unknown) => {
    tell(["fault", `consuming: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`]);
    process.exit(1);
  });
}
process.stdin.resume().on("end", async () => {
  await Promise.all(subscriptions.map((subscription) => subscription.close()));
  await pubsub.close();
});

// A process that takes an event and holds it, until it is killed.
import { startComponent } from "@mecha/component/conformance";
import { nats } from "@mecha/component-nats";

const component = await startComponent(nats, { url: process.argv[2] });
const source = component.blocks.pubsub?.consume({ keyspace: "test", topic: "t", group: "app/g" });
const never = new AbortController();
const leases = await source?.receive({ maxItems: 1, maxBytes: 1_000_000, leaseMs: 3_600_000, signal: never.signal });
for (const { payload, attempt } of leases ?? []) console.log(new TextDecoder().decode(payload), attempt);

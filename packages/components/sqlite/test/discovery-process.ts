// A process that registers an instance of "orders" and renews its lease until it is killed. Arguments: the data folder; the lease, in ms.
import { startComponent } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";

const [dataDir = "", ttl = ""] = process.argv.slice(2);
const ttlMs = Number(ttl);
const { discovery } = (await startComponent(sqlite, {}, { dataDir })).blocks;
const leases = discovery?.leases;
if (leases === undefined) throw new Error("the component takes no registrations");
const call = { namespace: "default", app: "orders", id: `i-${process.pid}` };
const instance = { id: call.id, app: call.app, address: "127.0.0.1:3601", version: "", zone: "", weight: 100 };
await leases.register({ namespace: call.namespace, instance, ttlMs });
process.on("disconnect", () => process.exit());
process.send?.({ at: Date.now() });
setInterval(() => void leases.renew({ ...call, ttlMs }), ttlMs / 4);

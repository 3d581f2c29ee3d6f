// A process that takes an event and holds it, until it is killed.
import { startComponent } from "@mecha/component/conformance";
import { rabbitmq } from "@mecha/component-rabbitmq";
import { pubsubOf, take } from "./kit.ts";

const { lease } = await take(pubsubOf(await startComponent(rabbitmq, { url: process.argv[2] })));
console.log("attempt", lease?.attempt);

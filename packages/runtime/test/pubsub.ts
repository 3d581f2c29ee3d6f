import { ConnectError, createClient } from "@connectrpc/connect";
import { type Delivery, PubSubService } from "@mecha/api/pubsub";
import { ErrorInfoSchema } from "@mecha/api/rpc";
import { createManualClock } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { onTestFinished } from "vitest";
import { createRuntime } from "../src/runtime.js";

/** The clock of every runtime of a test file; it stands until it is turned. */
export const clock = createManualClock();

/** A runtime whose events are in memory, in the app's name, over a component that other runtimes of the test share. */
export async function startRuntime(appId = "shop") {
  const runtime = await createRuntime({
    appId,
    clock,
    components: [memory],
    resources: [
      { apiVersion: "mecha.dev/v1", kind: "Component", metadata: { name: "events" }, spec: { type: "memory" } },
    ],
  });
  onTestFinished(() => runtime.close({ deadlineMs: 100 }));
  return { runtime, pubsub: createClient(PubSubService, runtime.transport) };
}

type Client = Awaited<ReturnType<typeof startRuntime>>["pubsub"];

export const text = (delivery: Delivery | undefined) => new TextDecoder().decode(delivery?.event?.data);

export const publish = (client: Client, topic: string, data: string, entry: object = {}) =>
  client.publish({ entry: { topic, event: { data: new TextEncoder().encode(data) }, ...entry } });

/** What a call was refused with: its code and its reason. */
export const reasonOf = (error: unknown) => {
  const connectError = ConnectError.from(error);
  return [connectError.code, connectError.findDetails(ErrorInfoSchema)[0]?.reason];
};

/** The first message of a subscription. */
export const open = (topic: string, more: object = {}) => ({ case: "open", value: { topic, ...more } }) as const;

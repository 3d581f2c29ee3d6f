import { type BindingFeature, bindingLimits, defineComponent } from "@mecha/component";
import { config } from "./config.js";
import { connectBroker, type MqttConnection } from "./connection.js";
import { createMessageFlow, events } from "./events.js";
import { operations, publish } from "./publish.js";

/** Messages of an MQTT broker, both ways. */
export const mqtt = defineComponent({
  type: "mqtt",
  description: "Messages of an MQTT broker, both ways.",
  config,
  serves: { binding: { features: ["OUTPUT", "INPUT"], operations, input: events } },
  // Two connections of one client id end each other.
  replace: "stop-first",
  async create(options, { clock, logger, signal }) {
    let connection: MqttConnection | undefined;
    const flow = createMessageFlow(clock, () => connection?.client);
    const broker = await connectBroker(options, flow, logger, signal);
    connection = broker;
    const features: BindingFeature[] = options.subscribe === undefined ? ["OUTPUT"] : ["OUTPUT", "INPUT"];
    const input = options.subscribe && { ...events, consume: flow.queue.consume };
    return {
      blocks: {
        binding: {
          features,
          operations,
          maxDataBytes: bindingLimits.maxDataBytes,
          invoke: (call) => publish(broker, call),
          ...(input && { input }),
        },
      },
      async health() {
        broker.check();
      },
      async close() {
        flow.queue.close();
        await broker.close();
      },
    };
  },
});

export default mqtt;

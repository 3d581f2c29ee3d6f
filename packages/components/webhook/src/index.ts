import { defineComponent, type InputDescription } from "@mecha/component";
import { config } from "./config.js";
import { createEndpoint } from "./endpoint.js";

const events: InputDescription = {
  description: "A request came, signed by who may send it.",
  contentType: "*/*",
  metadata: [
    {
      name: "path",
      type: "string",
      required: true,
      description: 'What stands in the URL after the component\'s name, with the query: "/orders?x=1".',
    },
    { name: "header.*", type: "string", required: false, description: "A header that `forwardHeaders` names." },
  ],
};

/** Events that others send by HTTP, signed. */
export const webhook = defineComponent({
  type: "webhook",
  description: "Events that others send by HTTP, signed.",
  config,
  serves: { binding: { features: ["INPUT"], operations: [], input: events } },
  async create(options, context) {
    const { endpoint, queue, close } = createEndpoint(options, context);
    const input = { ...events, consume: queue.consume };
    return {
      blocks: { binding: { features: ["INPUT"], operations: [], maxDataBytes: 0, input, endpoint } },
      // It waits for others: there is nobody to ask.
      async health() {},
      async close() {
        close();
      },
    };
  },
});

export default webhook;

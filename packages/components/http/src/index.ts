import { defineComponent } from "@mecha/component";
import { createAddressGuard } from "./addresses.js";
import { createHttpBinding } from "./binding.js";
import { config } from "./config.js";
import { createExchanger } from "./exchange.js";
import { describeOperations } from "./operations.js";

/** Calls to HTTP services. */
export const http = defineComponent({
  type: "http",
  description: "Calls to HTTP services, guarded against server-side request forgery.",
  config,
  serves: {
    binding: { features: ["OUTPUT"], operations: describeOperations(config.parse({ baseUrl: "https://example.com" })) },
  },
  async create(options) {
    let closed = false;
    const exchanger = createExchanger(options, createAddressGuard(options.allowedNetworks));
    return {
      blocks: { binding: createHttpBinding(options, exchanger, () => closed) },
      // Nothing is asked: a service of somebody else's is not called every few seconds to see whether it is there.
      async health() {},
      async close() {
        closed = true;
        exchanger.close();
      },
    };
  },
});

export default http;

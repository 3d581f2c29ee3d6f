import { type Discovery, defineComponent } from "@mecha/component";
import { dnsConfig } from "./config.js";
import { createLookup, type Found } from "./lookup.js";

export type { DnsConfig } from "./config.js";

/** How soon a lookup that failed is tried again, in ms. */
const retryMs = 1_000;

/** Other apps by DNS names: headless services of Kubernetes, and whatever else has A, AAAA or SRV records. */
export const dns = defineComponent({
  type: "dns",
  description:
    "Other apps by DNS names: headless services of Kubernetes, and whatever else has A, AAAA or SRV records.",
  config: dnsConfig,
  serves: { discovery: { features: [] } },
  async create(config, { clock, logger }) {
    const lookup = createLookup(config);
    const discovery: Discovery = {
      features: [],
      describe: (call) => `by the DNS name ${lookup.nameOf(call)}`,
      resolve: async (call) => (await lookup.find(call)).instances,
      async *watch(call) {
        const { signal } = call;
        let told: string | undefined;
        while (!signal.aborted) {
          let found: Found | undefined;
          try {
            found = await lookup.find(call);
          } catch (error) {
            if (told === undefined) throw error;
            // What was told last holds until somebody knows better.
            logger.debug("cannot look an app up; will try again", { error: String(error) });
          }
          const state = found && JSON.stringify(found.instances ?? null);
          if (found !== undefined && state !== told && !signal.aborted) {
            told = state;
            yield found.instances;
          }
          await new Promise<void>((resolve) => {
            const cancelTimer = clock.after(found?.ttlMs ?? retryMs, resolve);
            const stop = () => {
              cancelTimer();
              resolve();
            };
            if (signal.aborted) stop();
            else signal.addEventListener("abort", stop, { once: true });
          });
        }
      },
    };
    return {
      blocks: { discovery },
      async health() {},
      async close() {
        lookup.close();
      },
    };
  },
});

export default dns;

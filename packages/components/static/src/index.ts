import { type Discovery, defineComponent, dnsLabelPattern, type Instance, z } from "@mecha/component";

const label = (what: string) => z.string().max(128).default("").describe(what);

const instance = z.strictObject({
  address: z
    .string()
    .regex(/^([^\s/:[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/, 'must be "host:port" or "[::1]:port"')
    .describe('Where the mesh port of its runtime is: "10.0.0.5:3601", "[::1]:3601", "orders.example:3601".'),
  version: label("The app's version."),
  zone: label("The failure domain that it runs in."),
  weight: z.int().min(0).max(1000).default(100).describe("Its share of the traffic; 0 takes none."),
});

const config = z.strictObject({
  apps: z
    .record(
      z.string().regex(dnsLabelPattern, "must be an app id, a DNS label"),
      z.array(z.union([instance.shape.address, instance])),
    )
    .describe("The instances of each app, by app id: addresses, or addresses with more about them."),
});

/** Other apps at addresses that stand in the resource. */
export const staticApps = defineComponent({
  type: "static",
  description: "Other apps at addresses that stand in the resource.",
  config,
  serves: { discovery: { features: ["LIST"] } },
  async create({ apps }) {
    const known = new Map(
      Object.entries(apps).map(([app, list]) => [app, list.map((entry) => toInstance(app, entry))]),
    );
    const discovery: Discovery = {
      features: ["LIST"],
      describe: () => "in the list of component type static",
      resolve: ({ app }) => known.get(app),
      async *watch({ app, signal }) {
        if (signal.aborted) return;
        yield known.get(app);
        // A changed resource is a new component; this one never changes.
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
      list: () => [...known.keys()].toSorted((a, b) => (a < b ? -1 : 1)),
    };
    return { blocks: { discovery }, async health() {}, async close() {} };
  },
});

function toInstance(app: string, entry: string | z.output<typeof instance>): Instance {
  const { address, version, zone, weight } = typeof entry === "string" ? instance.parse({ address: entry }) : entry;
  return { id: address, app, address, version, zone, weight };
}

export default staticApps;

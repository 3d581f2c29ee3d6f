import { isIP } from "node:net";
import { z } from "@mecha/component";

/** The shape of `spec.config`; the README's table is made of it. */
export const dnsConfig = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9._{}-]+$/, 'must be a DNS name, with "{app}" and "{namespace}" in it')
    .refine((name) => name.includes("{app}"), 'must have "{app}" in it')
    .optional()
    .describe(
      'The name that an app has: "{app}" and "{namespace}" stand for its id and namespace. Default: "{app}.{namespace}.svc.cluster.local", a headless service of Kubernetes; with `records: srv`, "_mecha._tcp." before it.',
    ),
  records: z
    .enum(["address", "srv"])
    .default("address")
    .describe(
      "What is asked for. `address`: A and AAAA, each an instance at `port`. `srv`: SRV, which tell the ports, too.",
    ),
  port: z.int().min(1).max(65_535).default(3601).describe("The mesh port of every instance, with `records: address`."),
  servers: z
    .array(z.string().refine(isServer, 'must be an IP address, with a port or not: "10.0.0.53", "[::1]:53"'))
    .min(1)
    .optional()
    .describe("The DNS servers to ask. Default: those of the host."),
  minRefreshMs: z
    .int()
    .min(100)
    .default(1_000)
    .describe(
      "How soon, in ms, an app that is being called is looked up again at the earliest, whatever the TTL of its records.",
    ),
  maxRefreshMs: z
    .int()
    .min(100)
    .default(5_000)
    .describe(
      "And at the latest. SRV records are looked up at this interval: their TTL is not told by the host's resolver.",
    ),
});

/** What `spec.config` holds once it is validated. */
export type DnsConfig = z.output<typeof dnsConfig>;

function isServer(server: string): boolean {
  const [, bracketed, plain] = /^(?:\[(.+)\](?::\d+)?|([^:]+)(?::\d+)?)$/.exec(server) ?? [];
  return isIP(bracketed ?? plain ?? server) !== 0;
}

import { networkInterfaces } from "node:os";
import type { IdentityFiles } from "@mecha/identity";
import { defaultTrustDomain, isTrustDomain } from "@mecha/identity/spiffe";
import type { balancers } from "./balancer.js";

/** How an app is called by other apps, and calls them. Each option has a default. */
export interface MeshOptions {
  /** The address of the mesh port, where other runtimes call. Default `127.0.0.1`: those of this machine only. */
  host?: string;
  /** The mesh port, 0 to 65535; if somebody has it, any free one. Default 3601. */
  port?: number;
  /** Where other runtimes reach the mesh port: a name or an address, with a port where it differs. Default: `host`, or this machine's first address if `host` is all of them. */
  advertise?: string;
  /** Who vouches for the runtimes that trust one another: lower-case letters, digits, ".", "-" and "_". Default "mecha.internal". Not with `certificates`, which name theirs. */
  trustDomain?: string;
  /** Certificates that somebody else makes and renews. Default: those of a development authority in the data directory, which is made if it is not there. */
  certificates?: IdentityFiles;
  /**
   * An authority of several hosts that this runtime enrols with (`mecha ca serve`): `host:port`, and a one-time token for the app, which a runtime that was
   * enrolled before needs no more. The key is kept in the data directory. Not with `certificates`. Default: `MECHA_CA`, with the token from
   * `MECHA_ENROLL_TOKEN`; else none.
   */
  authority?: { address: string; token?: string };
  /** The app's version, at most 128 characters. Default: `MECHA_APP_VERSION`, else none. */
  version?: string;
  /** The failure domain that this runtime is in, at most 128 characters. Default: `MECHA_ZONE`, else none. */
  zone?: string;
  /** This instance's share of the traffic beside others, 0 to 1000; 0 takes none. Default 100. */
  weight?: number;
  /** How the app's calls are spread over the instances of another. Default "least-request". */
  balancing?: keyof typeof balancers;
}

/** {@link MeshOptions}, complete. */
export interface ResolvedMeshOptions {
  readonly host: string;
  readonly port: number;
  /** Told to others, given the port that is listened on. */
  addressFor(port: number): string;
  readonly trustDomain: string;
  readonly certificates: IdentityFiles | undefined;
  readonly authority: { readonly address: string; readonly token?: string; readonly trustDomain?: string } | undefined;
  readonly version: string;
  readonly zone: string;
  readonly weight: number;
  readonly balancing: keyof typeof balancers;
  /** Whether it was asked for: then an app with a port is to be found, and discovery is served by the embedded component if nothing else does. */
  readonly asked: boolean;
}

export const defaultMeshPort = 3601;

/** Option, else environment, else default. */
export function resolveMeshOptions(
  options: MeshOptions | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): ResolvedMeshOptions {
  const given = options ?? {};
  const host = given.host ?? "127.0.0.1";
  const trustDomain = given.trustDomain ?? defaultTrustDomain;
  if (!isTrustDomain(trustDomain)) {
    throw new TypeError(`option \`mesh.trustDomain\` is "${trustDomain}"; it must be of a-z, 0-9, ".", "-" and "_"`);
  }
  return {
    host,
    port: integer("port", given.port ?? defaultMeshPort, 65_535),
    addressFor: (port) => toAddress(given.advertise ?? reachable(host), port),
    trustDomain,
    certificates: given.certificates,
    authority: authorityOf(given, environment),
    version: label("version", given.version ?? environment.MECHA_APP_VERSION ?? ""),
    zone: label("zone", given.zone ?? environment.MECHA_ZONE ?? ""),
    weight: integer("weight", given.weight ?? 100, 1_000),
    balancing: given.balancing ?? "least-request",
    asked: options !== undefined,
  };
}

function authorityOf(
  { authority, certificates, trustDomain }: MeshOptions,
  environment: Readonly<Record<string, string | undefined>>,
): ResolvedMeshOptions["authority"] {
  const address = authority?.address ?? (certificates === undefined ? environment.MECHA_CA || undefined : undefined);
  if (address === undefined) return undefined;
  if (certificates !== undefined) {
    throw new TypeError(
      "options `mesh.certificates` and `mesh.authority` cannot both say who this runtime is; leave one out",
    );
  }
  const token = authority?.token ?? (environment.MECHA_ENROLL_TOKEN || undefined);
  return { address, ...(token !== undefined && { token }), ...(trustDomain !== undefined && { trustDomain }) };
}

/** "host", "host:port", "::1" and "[::1]:port", with the port where none is said. */
function toAddress(host: string, port: number): string {
  if (/^\[.*\]:\d+$/.test(host) || /^[^:]+:\d+$/.test(host)) return host;
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** An address that others can use; the first of the machine's own where it listens on all. */
function reachable(host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return host;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outward = addresses.filter(({ internal }) => !internal);
  return (outward.find(({ family }) => family === "IPv4") ?? outward[0])?.address ?? "127.0.0.1";
}

function integer(option: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new TypeError(`option \`mesh.${option}\` is ${value}; it must be a whole number from 0 to ${max}`);
}

function label(option: string, value: string): string {
  if (value.length <= 128) return value;
  throw new TypeError(`option \`mesh.${option}\` has ${value.length} characters; it may have 128`);
}

import { type LookupAddress, lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { ComponentError } from "@mecha/component";
import ipaddr from "ipaddr.js";

/** Public by its range, and yet a cloud's own: Azure's wire server, which gives out a machine's secrets. */
const metadataServices = new Set(["168.63.129.16"]);

/** All of IPv6 that is given out for the Internet (https://www.iana.org/assignments/ipv6-address-space); `::127.0.0.1`, for one, lies outside. */
const globalUnicast = ipaddr.parseCIDR("2000::/3");

/** Decides which addresses may be reached. */
export interface AddressGuard {
  /** Requires the host of a URL, if it is an address, to be one that may be reached. A name is checked when it is resolved. */
  checkHost(host: string): void;
  /** Resolves a name once, for one connection: what was checked is what is connected to, whatever the name says a moment later. */
  readonly lookup: LookupFunction;
}

/** @param allowedNetworks in CIDR notation, valid. */
export function createAddressGuard(allowedNetworks: readonly string[], resolve: typeof lookup = lookup): AddressGuard {
  const allowed = allowedNetworks.map((network) => ipaddr.parseCIDR(network));

  const isAllowed = (text: string): boolean => {
    if (!ipaddr.isValid(text)) return false;
    // An IPv4 address in IPv6's clothes (::ffff:10.0.0.1) is the IPv4 address.
    const address = ipaddr.process(text);
    if (allowed.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits)))
      return true;
    const isGlobal = address.kind() === "ipv4" || address.match(globalUnicast);
    return isGlobal && address.range() === "unicast" && !metadataServices.has(address.toString());
  };

  return {
    checkHost(host) {
      const literal = host.replace(/^\[(.*)\]$/, "$1");
      if (ipaddr.isValid(literal) && !isAllowed(literal)) throw refused(literal, literal);
    },

    lookup(name, options, callback) {
      resolve(name, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
        if (error !== null) return callback(error, []);
        const forbidden = addresses.find(({ address }) => !isAllowed(address));
        // One forbidden address among public ones is no accident either.
        if (forbidden !== undefined) return callback(refused(name, forbidden.address), []);
        const [first] = addresses;
        if (options.all) callback(null, addresses);
        else callback(null, first?.address ?? "", first?.family);
      });
    },
  };
}

function refused(host: string, address: string): ComponentError {
  const what = host === address ? `address ${address}` : `host "${host}" is ${address}, which`;
  return new ComponentError(
    "TARGET_REFUSED",
    `${what} is not a public address; if it shall be reached, add its network to allowedNetworks`,
    {
      metadata: { host },
    },
  );
}

import { defaultAuthorityPort } from "../authority-id.js";
import { IdentityError } from "../identity.js";

/** Where an authority listens. */
export interface AuthorityAddress {
  readonly host: string;
  readonly port: number;
  /** `host:port` as URLs and messages have it. */
  readonly text: string;
}

/** Reads `host`, `host:port` or `[::1]:port`; the port is 3602 where there is none. */
export function parseAuthorityAddress(text: string): AuthorityAddress {
  const [, bracketed, name, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? name;
  const port = digits === undefined ? defaultAuthorityPort : Number(digits);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new IdentityError(`"${text}" is no address of an authority: write host:port, as in "ca.shop.example:3602"`);
  }
  return { host, port, text: `${bracketed === undefined ? host : `[${host}]`}:${port}` };
}

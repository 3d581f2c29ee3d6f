import { hash, timingSafeEqual } from "node:crypto";
import type { SectionValue } from "../policy/sections.js";
import type { Arrival } from "./gate.js";
import { badToken } from "./verifier.js";

/** Whose key a call bears; undefined if it bears none and needs none. Throws BAD_TOKEN. */
export function holderOf(
  { header, keys, required }: SectionValue<"apiKeys">,
  { headers }: Arrival,
): string | undefined {
  const given = headers[header];
  if (given === undefined) {
    if (required) throw badToken(`there is none; send an API key in the header ${header}`);
    return undefined;
  }
  const digest = hash("sha256", String(given), "buffer");
  let holder: string | undefined;
  // All are compared, each in constant time: how long it takes tells nothing.
  for (const [name, expected] of Object.entries(keys)) {
    if (timingSafeEqual(digest, Buffer.from(expected.slice("sha256:".length), "hex"))) holder = name;
  }
  if (holder === undefined) throw badToken(`the API key in the header ${header} is unknown`);
  return holder;
}

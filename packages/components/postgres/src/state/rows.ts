import type { StateItem } from "@mecha/component";
import type { Row } from "../connection.js";

/** The columns of an item, in the order in which {@link toItem} reads them. Times are seconds since the epoch. */
export const itemColumns = (value = "value"): string =>
  `key, ${value}, content_type, etag, date_part('epoch', updated), date_part('epoch', expires)`;

/** How many columns an item has. */
export const itemWidth = 6;

/** The condition on a row to be an item: neither gone nor past its time, by the server's clock. */
export const isPresent = "gone IS NULL AND (expires IS NULL OR expires > statement_timestamp())";

/** The item that a row holds from column `at` on. */
export function toItem(row: Row, at = 0): StateItem {
  const [key, value, contentType, etag, updated, expires] = at === 0 ? row : row.slice(at);
  return {
    key: key ?? "",
    value: toBytes(value),
    contentType: contentType ?? "",
    etag: etag ?? "",
    updateTime: toMs(updated),
    expireTime: expires == null ? undefined : toMs(expires),
  };
}

/** A bytea in its text format: \x and two digits a byte. */
function toBytes(text: string | null | undefined): Uint8Array {
  return text == null ? noBytes : Buffer.from(text.slice(2), "hex");
}

const noBytes = new Uint8Array();

const toMs = (seconds: string | null | undefined) => Math.round(Number(seconds) * 1000);

/** The range of keys of a key or a prefix: from `from` to before `to`, byte by byte. */
export function rangeOf(target: { readonly key: string } | { readonly prefix: string }): { from: string; to: string } {
  // U+0000 is in no key, so nothing lies between a key and the same key with U+0001.
  if ("key" in target) return { from: target.key, to: `${target.key}\u0001` };
  return { from: target.prefix, to: endOf(target.prefix) };
}

/** More than any key: its 512 bytes can at most be 128 of the last code point. */
const beyondAllKeys = "\u{10ffff}".repeat(129);

/** The first string behind all that begin with `prefix`: the order of UTF-8 bytes is the order of code points. */
function endOf(prefix: string): string {
  const points = [...prefix].map((character) => character.codePointAt(0) ?? 0);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === 0x10ffff) continue;
    // There are no code points between U+D7FF and U+E000.
    return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
  return beyondAllKeys;
}

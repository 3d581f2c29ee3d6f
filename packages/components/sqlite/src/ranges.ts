/** The keys from `from` on and before `to`. In SQLite every BLOB sorts after every TEXT, so an empty one is the end of all keys. */
export interface KeyRange {
  readonly from: string;
  readonly to: string | Uint8Array;
  readonly has: (key: string) => boolean;
}

const endOfKeys = new Uint8Array(0);

/** Exactly one key: no key holds U+0000, so nothing lies between it and itself followed by one. */
export function rangeOfKey(key: string): KeyRange {
  return { from: key, to: `${key}\u0000`, has: (other) => other === key };
}

/** Every key that begins with `prefix`. The order of UTF-8 bytes is the order of code points. */
export function rangeOfPrefix(prefix: string): KeyRange {
  const has = (key: string) => key.startsWith(prefix);
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  while (points.length > 0) {
    const last = points.pop() ?? 0;
    if (last === 0x10ffff) continue;
    // Surrogates are no characters, so they are no end either.
    points.push(last === 0xd7ff ? 0xe000 : last + 1);
    return { from: prefix, to: String.fromCodePoint(...points), has };
  }
  return { from: prefix, to: endOfKeys, has };
}

/** What is left of a range after a key; all of it without one. */
export function rangeAfter(range: KeyRange, after: string | undefined): KeyRange {
  if (after === undefined || compare(after, range.from) < 0) return range;
  return { ...range, from: `${after}\u0000` };
}

/** In the order of UTF-8 bytes, which JavaScript's `<` is not. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

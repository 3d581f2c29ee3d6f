/** Mulberry32: small, and the same everywhere. */
export function createRandom(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Changes some bytes, cuts some off, or puts some in. */
export function mutate(template: Buffer, random: (below: number) => number): Buffer {
  const bytes = Buffer.from(template);
  for (let count = random(8); count > 0; count--) bytes[random(bytes.length)] = random(256);
  const from = random(bytes.length);
  switch (random(5)) {
    case 0:
      return bytes.subarray(0, from);
    case 1:
      return Buffer.concat([
        bytes.subarray(0, from),
        Buffer.from(Array.from({ length: random(64) }, () => random(256))),
        bytes.subarray(from),
      ]);
    case 2:
      return Buffer.concat([bytes, bytes.subarray(from)]);
    default:
      return bytes;
  }
}

/** How many bits each byte takes, and last the end-of-string code, in base 36. The code is canonical (RFC 7541, appendix B): that tells all of it. */
const lengths =
  "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f56565666577666567655677777fbeds" +
  "kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu";
const endOfString = 256;

/** A step of eight bits: a node's 256 entries say which byte ends within them and where its bits end, or which node comes next. */
type Step = { readonly byte: number; readonly bits: number } | Step[];

let root: Step[] | undefined;

/** Reads Huffman-coded text; undefined if it is none: its padding is too long or not all ones, or it contains the end of string. */
export function decodeHuffman(buffer: Uint8Array, start: number, end: number): string | undefined {
  root ??= build();
  const bytes: number[] = [];
  let node = root;
  let bits = 0;
  let count = 0;
  /** The bits since the last whole byte. */
  let open = 0;
  for (let index = start; index < end; index++) {
    bits = ((bits << 8) | (buffer[index] as number)) & 0xffff;
    count += 8;
    open += 8;
    while (count >= 8) {
      const step: Step | undefined = node[(bits >> (count - 8)) & 0xff];
      if (step === undefined) return undefined;
      if (Array.isArray(step)) {
        node = step;
        count -= 8;
      } else {
        bytes.push(step.byte);
        count -= step.bits;
        open = count;
        node = root;
      }
    }
  }
  while (count > 0) {
    const step: Step | undefined = node[(bits << (8 - count)) & 0xff];
    if (step === undefined || Array.isArray(step) || step.bits > count) break;
    bytes.push(step.byte);
    count -= step.bits;
    open = count;
    node = root;
  }
  if (open > 7 || (bits & ((1 << open) - 1)) !== (1 << open) - 1) return undefined;
  return String.fromCharCode(...bytes);
}

function build(): Step[] {
  const order = [...lengths].map((digit, byte) => ({ byte, length: Number.parseInt(digit, 36) }));
  order.sort((a, b) => a.length - b.length || a.byte - b.byte);
  const tree: Step[] = [];
  let code = 0;
  let previous = 0;
  for (const { byte, length } of order) {
    code *= 2 ** (length - previous);
    previous = length;
    if (byte !== endOfString) insert(tree, byte, code, length);
    code++;
  }
  return tree;
}

function insert(tree: Step[], byte: number, code: number, length: number): void {
  let node = tree;
  let left = length;
  for (; left > 8; left -= 8) {
    const index = (code >> (left - 8)) & 0xff;
    const next: Step = node[index] ?? [];
    node[index] = next;
    node = next as Step[];
  }
  const first = (code << (8 - left)) & 0xff;
  for (let index = first; index < first + 2 ** (8 - left); index++) node[index] = { byte, bits: left };
}

/** So much is kept in one piece. */
const blockBytes = 16 * 1024;

/**
 * Bytes that wait for whoever reads them, in order. They are copies, side by side: bytes that drip in would each keep a whole chunk of the connection alive.
 */
export class HeldBytes {
  #blocks: { readonly bytes: Buffer; used: number }[] = [];

  get empty(): boolean {
    return this.#blocks.length === 0;
  }

  add(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.length > 0) {
      let block = this.#blocks.at(-1);
      if (block === undefined || block.used === blockBytes) {
        block = { bytes: Buffer.allocUnsafeSlow(blockBytes), used: 0 };
        this.#blocks.push(block);
      }
      const part = rest.subarray(0, blockBytes - block.used);
      block.bytes.set(part, block.used);
      block.used += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** The next of them. */
  take(): Buffer | undefined {
    const block = this.#blocks.shift();
    return block?.bytes.subarray(0, block.used);
  }

  clear(): void {
    this.#blocks = [];
  }
}

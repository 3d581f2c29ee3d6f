/** What has come of a request that is served only when it is whole. */
export class Http1Part {
  readonly #withinMs: number | undefined;
  readonly #late: (bytes: Buffer) => void;
  #bytes: Buffer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isBegun: boolean = false;

  /** @param withinMs how long the rest may take until `late` is called with what there is; undefined if somebody else looks after that */
  constructor(withinMs: number | undefined, late: (bytes: Buffer) => void) {
    this.#withinMs = withinMs;
    this.#late = late;
  }

  get isThere(): boolean {
    return this.#bytes !== undefined;
  }

  /** Keeps what has come; says whether it is the first of a request. */
  keep(bytes: Buffer): boolean {
    this.#bytes = bytes;
    if (this.#isBegun) return false;
    this.#isBegun = true;
    if (this.#withinMs === undefined) return true;
    this.#timer = setTimeout(() => {
      const late = this.#bytes;
      this.drop();
      if (late !== undefined) this.#late(late);
    }, this.#withinMs).unref();
    return true;
  }

  /** What was kept and what has come now. */
  join(bytes: Buffer): Buffer {
    if (this.#bytes === undefined) return bytes;
    const all = Buffer.concat([this.#bytes, bytes]);
    this.#bytes = undefined;
    return all;
  }

  /** The request is whole, or of no use any more. */
  drop(): void {
    if (!this.#isBegun) return;
    this.#isBegun = false;
    this.#bytes = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** How much the other side may send, of a stream or in all, before it is given more. */
export class ReceiveWindow {
  readonly #size: number;
  #left: number;
  #consumed = 0;

  constructor(size: number) {
    this.#size = size;
    this.#left = size;
  }

  /** So many bytes came. Says whether they were allowed. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** So many bytes need no room any more. Gives how many to tell the other side of: none until it is worth a frame, unless it must be `now`. */
  consume(bytes: number, now = false): number {
    this.#consumed += bytes;
    if (!now && this.#consumed < this.#size / 4) return 0;
    const given = this.#consumed;
    this.#left += given;
    this.#consumed = 0;
    return given;
  }
}
